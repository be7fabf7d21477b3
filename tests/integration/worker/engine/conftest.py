"""Small models of each class, alone and in bags."""

import pytest

from bench.reference import CPU, Model, small_models
from splitjob_worker.engine.bag import Bag, load_bag


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Every way in which Demucs' published models differ, and some in which they could."""
    return small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def bags(models: dict[str, Model]) -> dict[str, Bag]:
    """The same models, loaded by the engine."""
    return {name: load_bag(model.found, CPU) for name, model in models.items()}

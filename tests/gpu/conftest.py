"""Checks that take an NVIDIA GPU. Where there is none they are skipped, and say nothing."""

import pytest
import torch

from bench.reference import Model, small_models
from splitjob_worker.engine.bag import Bag, load_bag


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    return torch.device("cuda")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Every way in which Demucs' published models differ, and some in which they could."""
    return small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def bags(gpu: torch.device, models: dict[str, Model]) -> dict[str, Bag]:
    """The same models, loaded by the engine to the GPU."""
    return {name: load_bag(model.found, gpu) for name, model in models.items()}

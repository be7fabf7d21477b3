"""Small models of each class, alone and in bags."""

from fractions import Fraction

import pytest
from tests.engine import CPU, Model, write

from splitjob_worker.engine import device
from splitjob_worker.engine.bag import Bag, load_bag


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Every way in which Demucs' published models differ, and some in which they could."""
    folder = tmp_path_factory.mktemp("models")
    device.set_up(2, "ieee")
    one_hot = [[float(row == column) for column in range(4)] for row in range(4)]
    uneven = [[1.0, 0.0, 0.5, 2.0], [1.0, 3.0, 0.25, 0.0]]
    return {
        "htdemucs": write(folder, "htdemucs", "HTDemucs"),
        "hdemucs": write(folder, "hdemucs", "HDemucs"),
        "demucs": write(folder, "demucs", "Demucs"),
        "fine_tuned": write(folder, "fine_tuned", "HTDemucs", 4, bag={"weights": one_hot}),
        "uneven": write(folder, "uneven", "HDemucs", 2, bag={"weights": uneven, "segment": 0.7}),
        "even": write(folder, "even", "Demucs", 2, bag={"segment": 0.3}),
        "shorter": write(folder, "shorter", "HTDemucs", 2, bag={"segment": 0.33}),
        "drawing": write(folder, "drawing", "HTDemucs", 2, t_sin_random_shift=50),
        "any_length": write(
            folder, "any_length", "HTDemucs", use_train_segment=False, segment=Fraction(16, 25)
        ),
        "cape": write(folder, "cape", "HTDemucs", t_emb="cape", t_cross_first=True),
        "scaled": write(folder, "scaled", "HTDemucs", t_emb="scaled", bottom_channels=0),
    }


@pytest.fixture(scope="session")
def bags(models: dict[str, Model]) -> dict[str, Bag]:
    """The same models, loaded by the engine."""
    return {name: load_bag(model.found, CPU) for name, model in models.items()}

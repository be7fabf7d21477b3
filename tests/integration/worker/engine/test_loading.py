"""Weights on their way into a model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.reference import CPU, Model
from splitjob.errors import ErrorCode, Failure
from splitjob_worker.engine.bag import shares_of
from splitjob_worker.engine.loading import build, read_blueprint
from splitjob_worker.engine.weights import read_header


@pytest.fixture
def copied(models: dict[str, Model], tmp_path: Path) -> Path:
    """A file of weights that a test may change."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(models["htdemucs"].found.paths[0].read_bytes())
    return path


def rewrite(path: Path, drop: str = "", klass: str = "", **changes: object) -> None:
    """Change a file of weights."""
    header = read_header(path)
    tensors = {name: one.clone() for name, one in load_file(path).items() if name != drop}
    kwargs = json.dumps({**header["kwargs"], **changes})
    save_file(tensors, path, {"klass": klass or header["klass"], "args": "[]", "kwargs": kwargs})


def test_every_weight_comes_from_the_file(models: dict[str, Model], copied: Path) -> None:
    loaded = build(read_blueprint(copied, "HTDemucs", None), CPU).state_dict()
    theirs = models["htdemucs"].reference.models[0].state_dict()
    ours = {name.replace("transformer.encoder", "transformer"): one for name, one in loaded.items()}
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert ours[name].dtype is torch.float32
        assert torch.equal(ours[name].flatten(), weight.flatten()), name


def test_building_leaves_torch_as_it_was(copied: Path) -> None:
    before = torch.nn.init.kaiming_uniform_
    build(read_blueprint(copied, "HTDemucs", None), CPU)
    assert torch.nn.init.kaiming_uniform_ is before
    assert torch.nn.Linear(2, 2).weight.abs().max() > 0


def test_a_missing_weight_is_an_error(copied: Path) -> None:
    rewrite(copied, drop="encoder.0.conv.weight")
    with pytest.raises(Failure, match="complete HTDemucs") as caught:
        build(read_blueprint(copied, "HTDemucs", None), CPU)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: uncorrectable ECC error encountered",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
    ],
)
def test_a_device_that_fails_is_not_a_bad_file(
    copied: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fail)
    with pytest.raises(RuntimeError, match=words[:20]):
        build(read_blueprint(copied, "HTDemucs", None), CPU)


def test_a_file_that_ends_too_soon_is_an_error(copied: Path) -> None:
    """Its header is whole, so that nothing is wrong before the weights are read."""
    copied.write_bytes(copied.read_bytes()[:-1000])
    with pytest.raises(Failure, match="complete HTDemucs") as caught:
        build(read_blueprint(copied, "HTDemucs", None), CPU)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_an_argument_that_demucs_forgot_is_left_out(copied: Path) -> None:
    rewrite(copied, an_old_option=3)
    build(read_blueprint(copied, "HTDemucs", None), CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"klass": "os.system"}, r"class os\.system"),
        ({"audio_channels": 1}, "stereo"),
        ({"segment": "long"}, "complete"),
        ({"samplerate": None}, "complete"),
    ],
)
def test_what_is_no_such_model_is_refused(
    copied: Path, changes: dict[str, object], message: str
) -> None:
    rewrite(copied, **changes)  # type: ignore[arg-type]
    with pytest.raises(Failure, match=message):
        read_blueprint(copied, "HTDemucs", None)


def test_shares_of_a_bag() -> None:
    weights = [[1.0, 0.0], [3.0, 2.0]]
    assert shares_of(weights, 2, 2, [1, 0]) == [{0: 0.25}, {0: 0.75, 1: 1.0}]
    assert shares_of(weights, 2, 2, [1]) == [{}, {1: 1.0}]
    assert shares_of(None, 2, 3, [2]) == [{2: 0.5}, {2: 0.5}]


@pytest.mark.parametrize("weights", [[[1.0, 1.0]], [[1.0], [1.0]], [[0.0, 1.0], [0.0, 1.0]]])
def test_weights_that_do_not_fit_are_refused(weights: list[list[float]]) -> None:
    with pytest.raises(Failure, match="weights"):
        shares_of(weights, 2, 2, [0])

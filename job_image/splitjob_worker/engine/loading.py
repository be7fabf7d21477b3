"""From a file of weights to a model on its device.

The weights are not initialised at random first: each comes from the file, which is mapped into
memory, and is cast to fp32 while it is copied to the device.
"""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.engine.demucs_types import DemucsModel, JsonValue
from splitjob_worker.engine.device import is_device_error
from splitjob_worker.engine.modules import optimised
from splitjob_worker.engine.segments import Geometry
from splitjob_worker.engine.weights import read_header

CLASSES = {
    "demucs.htdemucs.HTDemucs": "HTDemucs",
    "demucs.hdemucs.HDemucs": "HDemucs",
    "demucs.demucs.Demucs": "Demucs",
}
CHANNELS = 2

_INITIALISERS = {
    "torch.nn.init": (
        "constant_",
        "kaiming_uniform_",
        "normal_",
        "ones_",
        "uniform_",
        "xavier_uniform_",
        "zeros_",
    ),
    "torch.nn.modules.activation": ("constant_", "xavier_normal_", "xavier_uniform_"),
    "demucs.demucs": ("rescale_module",),
    "demucs.hdemucs": ("rescale_module",),
    "demucs.htdemucs": ("rescale_module",),
}


@dataclass(frozen=True)
class Blueprint:
    """A model as its file describes it, without its weights.

    Attributes:
        path: the file.
        klass: Demucs' class.
        arguments: all arguments of its constructor.
        segment: seconds in one forward pass.
    """

    path: Path
    klass: DemucsModel
    arguments: dict[str, JsonValue]
    segment: Fraction | float

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems it gives, in its own order."""
        return tuple(self.arguments["sources"])

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.arguments["samplerate"])

    @property
    def geometry(self) -> Geometry:
        """Where its segments lie."""
        draws = self.arguments.get("t_layers", 0) > 0 and self.arguments["t_emb"] == "sin"
        return Geometry(
            self.sample_rate,
            int(self.sample_rate * self.segment),
            self.arguments["t_sin_random_shift"] + 1 if draws else None,
        )


def read_blueprint(path: Path, architecture: str, segment: float | None) -> Blueprint:
    """Read a model's description from its file.

    Args:
        path: a safetensors file as Demucs 4.1 writes them.
        architecture: the class it must be of; nothing else is ever imported.
        segment: seconds that override the model's own; None: its own.

    Raises:
        Failure: `model_unavailable`: it is not such a file.
    """
    header = read_header(path)
    if CLASSES.get(header["klass"]) != architecture or header["quantized"]:
        raise _unavailable(
            f"{path} holds a model of class {str(header['klass'])[:80]}, which is not the plain "
            f"{architecture} that the registry names"
        )
    module, name = header["klass"].rsplit(".", 1)
    klass = getattr(importlib.import_module(module), name)
    try:
        arguments = _arguments(klass, _decoded(header["args"]), _decoded(header["kwargs"]))
        own: Fraction | float = arguments["segment"]
        # An HTDemucs cannot be run on more than it was trained on (demucs.apply.BagOfModels).
        shorter = segment is not None and (architecture != "HTDemucs" or segment <= own)
        blueprint = Blueprint(
            path, klass, arguments, segment if segment is not None and shorter else own
        )
        valid = blueprint.geometry.segment > 1 and arguments["audio_channels"] == CHANNELS
    except (KeyError, TypeError, ValueError) as error:
        raise _incomplete(path, architecture, error) from error
    if not valid:
        raise _unavailable(f"{path} does not hold a model of stereo sound")
    return blueprint


def build(blueprint: Blueprint, device: torch.device) -> DemucsModel:
    """Return the model with its weights, on its device, ready to be run.

    Raises:
        Failure: `model_unavailable`: the file is damaged, or does not hold all the weights.
        RuntimeError, MemoryError: the device failed, or memory ran out.
    """
    try:
        with _without_initialisers(), torch.device(device):
            model = blueprint.klass(**blueprint.arguments)
        model.load_state_dict(load_file(blueprint.path))
    except (SafetensorError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        if is_device_error(error):
            raise
        raise _incomplete(blueprint.path, blueprint.klass.__name__, error) from error
    model.segment = blueprint.segment
    return optimised(model.eval().requires_grad_(requires_grad=False), device)


@contextmanager
def _without_initialisers() -> Iterator[None]:
    """Build modules without initialising their weights, which are loaded next."""
    places = [
        (importlib.import_module(module), name)
        for module, names in _INITIALISERS.items()
        for name in names
    ]
    originals = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, _do_nothing)
    try:
        yield
    finally:
        for (module, name), original in zip(places, originals, strict=True):
            setattr(module, name, original)


def _do_nothing(*_arguments: object, **_options: object) -> None:
    """Stand in for an initialiser."""


def _arguments(
    klass: DemucsModel, args: list[JsonValue], kwargs: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    """Return all arguments of a constructor, defaults included.

    Those that it no longer knows are left out, as Demucs does (`demucs.states.load_model`).
    """
    signature = inspect.signature(klass)
    known = {name: value for name, value in kwargs.items() if name in signature.parameters}
    bound = signature.bind(*args, **known)
    bound.apply_defaults()
    return dict(bound.arguments)


def _decoded(value: JsonValue) -> JsonValue:
    """Return a constructor argument as it was before Demucs wrote it as JSON."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _incomplete(path: Path, name: str, error: Exception) -> Failure:
    return _unavailable(f"{path} does not hold a complete {name}: {type(error).__name__}")


def _unavailable(message: str) -> Failure:
    return Failure(ErrorCode.MODEL_UNAVAILABLE, message)

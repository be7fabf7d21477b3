"""Separation against Demucs itself, in one process with torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.worker import Models

from bench.audio_files import Samples, tones
from bench.normalising import normalisation
from splitjob.errors import ErrorCode, Failure
from splitjob.models import ModelFile
from splitjob_worker.cancellation import Cancelled
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Options, Remainder
from splitjob_worker.engine.position import Earlier, Position
from splitjob_worker.machine import cpu_count
from splitjob_worker.spool import Spool, SpoolWriter

torch: Any = pytest.importorskip("torch")

from demucs.api import Separator as DemucsSeparator  # noqa: E402
from demucs.apply import BagOfModels  # noqa: E402
from demucs.hf import load_safetensors_model  # noqa: E402

from splitjob_worker.engine import device as devices  # noqa: E402
from splitjob_worker.engine.separator import (  # noqa: E402
    Separation,
    Separator,
)


@pytest.fixture(scope="module")
def separator(models: Models) -> Separator:
    return Separator(weights.find(models.record, models.folder), "cpu")


@pytest.fixture(scope="module")
def mixture() -> Samples:
    rng = np.random.default_rng(3)
    sound = tones(44100, 3.3, 2).T + 0.1 * rng.standard_normal((145530, 2))
    return sound.astype(np.float32)


def spooled(samples: Samples, folder: Path) -> Spool:
    with SpoolWriter(folder / "mixture.f32") as writer:
        writer.append(samples)
        return writer.close()


def demucs(models: Models, samples: Samples, **options: Any) -> dict[str, Samples]:
    """What `demucs.api.Separator.separate_tensor` gives for the same weights."""
    reference = object.__new__(DemucsSeparator)
    reference._model = BagOfModels([load_safetensors_model(models.folder / "tiny.safetensors")])
    reference._samplerate, reference._audio_channels = 44100, 2
    reference.update_parameter(
        **{
            "device": "cpu",
            "shifts": 0,
            "overlap": 0.25,
            "split": True,
            "segment": None,
            "jobs": 0,
            "progress": False,
            "callback": None,
            "callback_arg": None,
            **options,
        }
    )
    _, stems = reference.separate_tensor(torch.from_numpy(np.ascontiguousarray(samples.T)))
    return {name: stem.numpy().T for name, stem in stems.items()}


def separation_of(
    separator: Separator, spool: Spool, options: Options | None = None, **hooks: Any
) -> Separation:
    statistics = normalisation(spool.blocks())
    return separator.separate(spool, statistics, options or Options(), **hooks)


def stems_of(
    separator: Separator, spool: Spool, options: Options | None = None, **hooks: Any
) -> dict[str, Samples]:
    """The whole stems by name, shape (frames, 2)."""
    blocks = list(separation_of(separator, spool, options, **hooks))
    whole = np.concatenate(blocks, axis=-1)
    return {name: stem.T for name, stem in zip(separator.outputs, whole, strict=True)}


@pytest.mark.parametrize(("frames", "overlap"), [(145530, 0.25), (7056, 0.25), (100001, 0.5)])
def test_the_same_numbers_as_demucs(
    separator: Separator,
    models: Models,
    mixture: Samples,
    tmp_path: Path,
    frames: int,
    overlap: float,
) -> None:
    samples = mixture[:frames]
    made = stems_of(separator, spooled(samples, tmp_path), Options(overlap=overlap))
    expected = demucs(models, samples, overlap=overlap)
    assert list(made) == list(expected)
    for name, stem in made.items():
        assert np.abs(stem - expected[name]).max() <= 1e-4 * max(1, np.abs(expected[name]).max())


def test_the_residual_is_that_of_all_stems(
    separator: Separator, mixture: Samples, tmp_path: Path
) -> None:
    made = separation_of(separator, spooled(mixture, tmp_path))
    whole = np.concatenate(list(made), axis=-1)
    rest = mixture.T - whole.sum(axis=0)
    expected = 20 * np.log10(np.sqrt(np.mean(rest.astype(np.float64) ** 2)))
    assert made.residual_dbfs == pytest.approx(expected, abs=1e-3)


def test_some_stems_and_the_rest(models: Models, mixture: Samples, tmp_path: Path) -> None:
    found = weights.find(models.record, models.folder)
    some = Separator(found, "cpu", ["vocals", "bass"], remainder=Remainder("rest"))
    spool = spooled(mixture, tmp_path)
    stems = stems_of(some, spool)
    assert list(stems) == ["vocals", "bass", "rest"]
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-6
    made = separation_of(some, spool)
    list(made)
    assert made.residual_dbfs is None
    expected = demucs(models, mixture)
    for name in ("vocals", "bass"):
        assert np.abs(stems[name] - expected[name]).max() <= 1e-4


def test_the_others_summed(models: Models, mixture: Samples, tmp_path: Path) -> None:
    """Demucs' `--two-stems vocals --other-method add`."""
    found = weights.find(models.record, models.folder)
    added = Separator(found, "cpu", ["vocals"], remainder=Remainder("no_vocals", "add"))
    spool = spooled(mixture, tmp_path)
    made = separation_of(added, spool)
    vocals, no_vocals = np.concatenate(list(made), axis=-1)
    expected = demucs(models, mixture)
    others = sum(expected[name].T for name in ("drums", "bass", "other"))
    assert np.abs(vocals - expected["vocals"].T).max() <= 1e-4
    assert np.abs(no_vocals - others).max() <= 1e-4 * max(1, np.abs(others).max())
    rest = mixture.T - vocals - no_vocals
    level = 20 * np.log10(np.sqrt(np.mean(rest.astype(np.float64) ** 2)))
    assert made.residual_dbfs == pytest.approx(level, abs=1e-3)


def test_a_seed_gives_the_same_shifts_again(
    separator: Separator, mixture: Samples, tmp_path: Path
) -> None:
    spool = spooled(mixture[:44100], tmp_path)
    options = Options(shifts=1, seed=42)
    first = stems_of(separator, spool, options)
    again = stems_of(separator, spool, options)
    other = stems_of(separator, spool, replace(options, seed=43))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("wanted", [None, ["bass", "vocals"]])
def test_one_that_was_broken_off_goes_on(
    models: Models, mixture: Samples, tmp_path: Path, wanted: list[str] | None
) -> None:
    """Also what is measured of all stems, and the remainder, are the same to the last bit."""
    found = weights.find(models.record, models.folder)
    separator = Separator(found, "cpu", wanted, remainder=Remainder("rest") if wanted else None)
    spool = spooled(mixture, tmp_path)
    kept: list[tuple[Samples, Position | None]] = []
    whole = separation_of(separator, spool, keep=lambda *block: kept.append(block))
    expected = np.concatenate(list(whole), axis=-1)
    position = kept[0][1]
    assert position is not None
    assert 0 < position.frame < len(mixture)

    behind: list[tuple[Samples, Position | None]] = []
    earlier = Earlier(position, iter([kept[0][0]]))
    again = separation_of(
        separator, spool, earlier=earlier, keep=lambda *block: behind.append(block)
    )
    assert np.array_equal(np.concatenate(list(again), axis=-1), expected)
    assert again.residual_dbfs == whole.residual_dbfs
    assert [position for _, position in behind] == [position for _, position in kept[1:]]


def test_precision_is_only_lowered_when_asked(
    models: Models, separator: Separator, mixture: Samples, tmp_path: Path
) -> None:
    found = weights.find(models.record, models.folder)
    spool = spooled(mixture[:44100], tmp_path)
    full = stems_of(separator, spool)
    lower = stems_of(Separator(found, "cpu", precision="bf16"), spool)
    error = np.abs(lower["vocals"] - full["vocals"]).max()
    assert 1e-6 < error / np.abs(full["vocals"]).max() < 0.1


def test_silence_stays_finite(separator: Separator, tmp_path: Path) -> None:
    """Acceptance 33."""
    spool = spooled(np.zeros((44100, 2), np.float32), tmp_path)
    assert all(np.abs(stem).max() < 1e-3 for stem in stems_of(separator, spool).values())


def test_progress_counts_segments_to_the_end(
    separator: Separator, mixture: Samples, tmp_path: Path
) -> None:
    shares: list[float] = []
    stems_of(separator, spooled(mixture, tmp_path), on_progress=shares.append)
    done = [2, 4, 5] if cpu_count() % 2 == 0 else [1, 2, 3, 4, 5]  # an even number runs two at once
    assert shares == pytest.approx([count / 5 for count in done])


def test_stopping_between_segments(separator: Separator, mixture: Samples, tmp_path: Path) -> None:
    shares: list[float] = []

    def check() -> None:
        if shares:
            raise Cancelled

    with pytest.raises(Cancelled):
        stems_of(
            separator, spooled(mixture, tmp_path), on_progress=shares.append, check_cancelled=check
        )
    assert len(shares) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error(models: Models) -> None:
    with pytest.raises(Failure) as caught:
        Separator(weights.find(models.record, models.folder), "cuda")
    assert caught.value.code is ErrorCode.GPU_ERROR
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("error", "device", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "cuda", ErrorCode.GPU_OOM),
        (RuntimeError("MPS backend out of memory"), "mps", ErrorCode.GPU_OOM),
        (RuntimeError("CUDA error: device-side assert"), "cuda", ErrorCode.GPU_ERROR),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
            "cpu",
            ErrorCode.WORKER_OOM,
        ),
        (MemoryError(), "cpu", ErrorCode.WORKER_OOM),
        (RuntimeError("shape mismatch"), "cpu", ErrorCode.INTERNAL_ERROR),
    ],
)
def test_what_a_failure_inside_torch_means(error: Exception, device: str, code: ErrorCode) -> None:
    assert devices.failure(error, torch.device(device)).code is code


def broken(models: Models, monkeypatch: pytest.MonkeyPatch, gives: Any) -> Separator:
    """A separator whose model does something else."""
    separator = Separator(weights.find(models.record, models.folder), "cpu")
    monkeypatch.setattr(separator._bag.members[0].model, "forward", gives)
    return separator


def test_a_failure_inside_torch_ends_the_job(
    models: Models, mixture: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_heard: object) -> None:
        raise MemoryError

    separator = broken(models, monkeypatch, break_off)
    with pytest.raises(Failure) as caught:
        stems_of(separator, spooled(mixture[:9000], tmp_path))
    assert caught.value.code is ErrorCode.WORKER_OOM


@pytest.fixture
def copied(models: Models, tmp_path: Path) -> Path:
    """The weights, in a folder that a test may spoil."""
    for name in ("tiny.yaml", "tiny.safetensors"):
        (tmp_path / name).write_bytes((models.folder / name).read_bytes())
    return tmp_path


def test_weights_with_another_digest_are_refused(models: Models, copied: Path) -> None:
    file = copied / "tiny.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(Failure, match="has SHA-256") as caught:
        weights.find(models.record, copied)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_a_pin_beside_the_weights_counts_as_well(models: Models, copied: Path) -> None:
    unpinned = models.record.model_copy(update={"files": (ModelFile(name="tiny.safetensors"),)})
    assert weights.find(unpinned, copied).digest == models.record.digest
    (copied / "tiny.sha256").write_text(f"{'0' * 64}  tiny.safetensors\n")
    with pytest.raises(Failure, match="damaged or another one"):
        weights.find(unpinned, copied)


@pytest.mark.parametrize("content", [b"0123\n", b"\xff\xfe tiny.safetensors\n"])
def test_pins_that_cannot_be_read_are_told(models: Models, copied: Path, content: bytes) -> None:
    (copied / "tiny.sha256").write_bytes(content)
    with pytest.raises(Failure, match="is not a list of digests") as caught:
        weights.find(models.record, copied)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_missing_weights_are_named(models: Models, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"tiny\.yaml, tiny\.safetensors"):
        weights.find(models.record, tmp_path)


def test_a_record_that_does_not_fit_its_weights(models: Models) -> None:
    record = models.record.model_copy(update={"stems": ("drums", "bass", "vocals", "other")})
    with pytest.raises(Failure, match="does not fit its weights"):
        Separator(weights.find(record, models.folder), "cpu")


def test_only_classes_of_demucs_are_ever_imported(models: Models, copied: Path) -> None:
    from safetensors.torch import load_file, save_file  # noqa: PLC0415

    path = copied / "tiny.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"klass": "os.system", "args": '["true"]', "kwargs": "{}"})
    record = models.record.model_copy(update={"files": (ModelFile(name="tiny.safetensors"),)})
    with pytest.raises(Failure, match=r"class os\.system"):
        Separator(weights.find(record, copied), "cpu")

"""Stems that sum to the mixture to the last bit: real models and files, others' decoders."""

import io
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import sphn
from tests.support.stems import exact_target, read, total
from tests.support.worker import Models, Worker

from bench.audio_files import tones, write_audio
from bench.normalising import normalisation
from splitjob.errors import Failure
from splitjob.models import load_registry
from splitjob.result import EXIT_DONE, Manifest
from splitjob_io.storage import S3Service
from splitjob_worker.cancellation import Cancelled
from splitjob_worker.checkpoints.keeper import Keeper
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.position import Earlier, Position
from splitjob_worker.pipeline import SeparatedSong, separate_song
from splitjob_worker.reporting.progress import Progress
from splitjob_worker.scratch import Scratch
from splitjob_worker.spool import FRAME_BYTES, Samples, Spool, SpoolWriter
from splitjob_worker.stems.encoding import BitDepth, Encoding
from splitjob_worker.stems.output import StemOutput

pytest.importorskip("torch")

from splitjob_worker.engine.separator import Separator

RATE = 44100
FORMATS: list[tuple[Any, BitDepth]] = [("wav", 24), ("wav", 32), ("flac", 24)]


@pytest.fixture(scope="module")
def separator(models: Models) -> Separator:
    return Separator(weights.find(models.record, models.folder), "cpu")


def noise(seconds: float, loudness: float) -> Samples:
    samples = np.random.default_rng(7).standard_normal((round(seconds * RATE), 2))
    return (loudness * samples).astype(np.float32)


def separate(
    separator: Separator,
    song: Samples,
    folder: Path,
    residual_to: str = "other",
    kind: tuple[Any, BitDepth] = ("wav", 32),
    limit: int | None = None,
    keeper: Keeper | None = None,
) -> SeparatedSong:
    (folder / "scratch").mkdir(exist_ok=True)
    (folder / "files").mkdir(exist_ok=True)
    with SpoolWriter(folder / "mixture.f32") as writer:
        writer.append(song)
        mixture: Spool = writer.close()
    scratch = Scratch(folder / "scratch", limit)
    encoding = Encoding(*kind, clip_mode="exact")
    output = StemOutput(encoding, folder / "files", scratch, residual_to=residual_to)
    made = separate_song(
        separator,
        mixture,
        normalisation(mixture.blocks()),
        Options(),
        output,
        progress=Progress(io.StringIO()),
        keeper=keeper,
    )
    assert list(scratch.folder.iterdir()) == []
    return made


def gain_of(made: SeparatedSong) -> float:
    (gain,) = {stem.report.gain for stem in made.stems}
    return gain


def decoded(made: SeparatedSong) -> list[Samples]:
    """The files as FFmpeg and Symphonia, which agree, decode them."""
    files = []
    for stem in made.stems:
        samples, rate = read(stem.path)
        other, other_rate = sphn.read(str(stem.path))
        assert rate == other_rate == RATE
        assert np.array_equal(samples, other.T)
        files.append(samples)
    return files


@pytest.mark.parametrize("residual_to", ["other", "vocals", "residual"])
@pytest.mark.parametrize("kind", FORMATS, ids=["wav 24", "wav 32", "flac 24"])
def test_the_files_sum_to_the_mixture_to_the_last_bit(
    separator: Separator, tmp_path: Path, kind: tuple[Any, BitDepth], residual_to: str
) -> None:
    """Acceptance 83: so loud that a gain is needed, and longer than a block of three seconds."""
    song = noise(3.2, 0.4)
    made = separate(separator, song, tmp_path, residual_to, kind)
    names = [stem.report.name for stem in made.stems]
    assert names == [*separator.stems, *(["residual"] if residual_to == "residual" else [])]
    assert 0.2 < (gain := gain_of(made)) < 1
    files = decoded(made)
    for order in permutations(files):
        assert np.array_equal(total(list(order)), exact_target(song, gain))
    for stem, samples in zip(made.stems, files, strict=True):
        assert -1 <= samples.min() <= samples.max() < 1
        assert stem.report.peak * gain == pytest.approx(np.abs(samples).max(), abs=1e-6)
    assert made.residual_dbfs is not None


def test_the_formats_hold_the_same_samples_and_each_time_the_same_bytes(
    separator: Separator, tmp_path: Path
) -> None:
    heard, digests = [], []
    for index, kind in enumerate([*FORMATS, FORMATS[-1]]):
        (folder := tmp_path / str(index)).mkdir()
        made = separate(separator, noise(0.5, 0.5), folder, kind=kind)
        heard.append(decoded(made))
        digests.append([stem.report.sha256 for stem in made.stems])
    assert all(np.array_equal(heard[0], one) for one in heard)
    assert digests[-1] == digests[-2]


def test_only_the_stem_that_takes_it_holds_what_the_model_left_over(
    separator: Separator, tmp_path: Path
) -> None:
    """The other stems are the model's, to half a step."""
    song = noise(0.5, 0.05)
    spool = Spool(tmp_path / "mixture.f32", len(song))
    made = separate(separator, song, tmp_path, "bass")
    given = np.concatenate(
        list(separator.separate(spool, normalisation(spool.blocks()), Options())), axis=-1
    )
    assert gain_of(made) == 1
    for name, file, stem in zip(separator.stems, decoded(made), given, strict=True):
        differs = np.abs(file - stem.T).max() > 0.5 / 2**23
        assert differs == (name == "bass")


class KeepInMemory:
    """What is kept of a song that is broken off at its second position."""

    def __init__(self) -> None:
        self.earlier: Earlier | None = None
        self.kept: list[Samples] = []
        self.positions: list[Position] = []

    def open(self, _stems: int, _needed: int, _check: Callable[[], None]) -> Earlier | None:
        return self.earlier

    def keep(self, stems: Samples, position: Position | None) -> None:
        self.kept.append(stems.copy())
        if position is not None:
            self.positions.append(position)
        if len(self.positions) == 2 and self.earlier is None:
            self.earlier = Earlier(position or self.positions[1], iter(self.kept[:]))
            raise Cancelled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what there is."""


@pytest.mark.parametrize("residual_to", ["other", "residual"])
def test_a_song_that_was_broken_off_goes_on_with_the_same_sums(
    separator: Separator, tmp_path: Path, residual_to: str
) -> None:
    """Acceptance 77 and 83: what is kept are the model's stems, before a gain is known."""
    song = noise(3.2, 0.4)
    (uninterrupted := tmp_path / "uninterrupted").mkdir()
    whole = separate(separator, song, uninterrupted, residual_to)
    keeper = KeepInMemory()
    with pytest.raises(Cancelled):
        separate(separator, song, tmp_path, residual_to, keeper=keeper)
    assert list((tmp_path / "files").iterdir()) == []
    assert 0 < keeper.positions[-1].frame < len(song)
    again = separate(separator, song, tmp_path, residual_to, keeper=keeper)
    assert gain_of(again) == gain_of(whole) < 1
    assert [one.report for one in again.stems] == [one.report for one in whole.stems]
    assert again.residual_dbfs == pytest.approx(whole.residual_dbfs)
    assert np.array_equal(total(decoded(again)), exact_target(song, gain_of(again)))


SONGS = {
    "16 bits at full scale keep their gain": noise(0.5, 0.3).clip(-1, 1 - 2**-15),
    "silence": np.zeros((RATE, 2), np.float32),
    "direct current at full scale": np.ones((RATE, 2), np.float32),
    "peaks of four times full scale": noise(0.5, 1.0).clip(-4, 4),
    "very quiet": noise(0.5, 1e-8),
    "one channel only": noise(0.5, 0.5) * np.array([1, 0], np.float32),
    "one sample": np.full((1, 2), 0.7, np.float32),
    "three samples": noise(0.5, 0.3)[:3],
    "hundreds of times full scale": noise(0.5, 300.0),
}


@pytest.mark.parametrize("case", SONGS)
def test_songs_of_every_kind_sum_up(separator: Separator, tmp_path: Path, case: str) -> None:
    song = SONGS[case]
    made = separate(separator, song, tmp_path)
    gain = gain_of(made)
    assert np.array_equal(total(decoded(made)), exact_target(song, gain))
    assert all(stem.report.silent for stem in made.stems) == (np.abs(song).max() < 1e-4)


@pytest.mark.parametrize("residual_to", ["other", "residual"])
def test_a_model_that_gives_nonsense(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, residual_to: str
) -> None:
    """Stems thousands of times as loud still sum up; what is not finite is no sound."""
    import torch  # noqa: PLC0415

    broken = Separator(weights.find(models.record, models.folder), "cpu")
    given = torch.tensor([1e4, -1.0, 0.0, 2e3])
    monkeypatch.setattr(
        broken._bag.members[0].model,
        "forward",
        lambda heard: given[None, :, None, None].expand(len(heard), 4, *heard.shape[1:]).clone(),
    )
    song = noise(0.5, 0.3)
    made = separate(broken, song, tmp_path, residual_to)
    assert gain_of(made) < 1e-2
    assert np.array_equal(total(decoded(made)), exact_target(song, gain_of(made)))
    for stem, worst in [(0, 1e38), (2, torch.nan), (2, torch.inf)]:  # the third is `other`
        given[stem] = worst
        with pytest.raises(Failure, match=r"not finite|times full scale"):
            separate(broken, song, tmp_path, residual_to)
        assert list((tmp_path / "files").iterdir()) == []
        assert list((tmp_path / "scratch").iterdir()) == []


def test_the_stem_that_takes_the_residual_needs_no_scratch(
    separator: Separator, tmp_path: Path
) -> None:
    """Of four stems, three are spooled."""
    song = noise(3.0, 0.1)
    files = 4 * Encoding("wav", 32).max_bytes(len(song), RATE)
    enough = files + (3 + 1) * len(song) * FRAME_BYTES + 10_000  # with the mixture, in whole pages
    with pytest.raises(Failure, match="scratch space"):
        separate(separator, song, tmp_path, limit=enough - 20_000)
    separate(separator, song, tmp_path, limit=enough)


def test_the_demo_model_on_music(tmp_path: Path) -> None:
    demo = Separator(weights.find(load_registry()["demo"], None), "cpu")
    song = tones(RATE, 2.0, 2).T
    made = separate(demo, song, tmp_path, kind=("flac", 24))
    assert np.array_equal(total(decoded(made)), exact_target(song, gain_of(made)))


def test_a_job_whose_song_is_a_whole_file_of_24_bits(worker: Worker, storage: S3Service) -> None:
    """From the request to the bucket; with a gain of 1, the sum is the file that was sent."""
    song = write_audio(worker.folder / "song.flac", noise(1.0, 0.2).T, codec="flac")
    request = {
        "source": worker.source(worker.web.give("/song.flac", song.read_bytes())),
        "clipMode": "exact",
        "residualTo": "residual",
        "format": "flac",
        "bitDepth": 24,
        "waveforms": True,
    }
    run = worker.run(request)
    assert run.status == EXIT_DONE, run.log
    prefix = f"version-1/{run.job_id}"
    manifest = Manifest.model_validate(storage.get_json(f"{prefix}/manifest.json"))
    assert manifest.result is not None
    assert [stem.type for stem in manifest.result.stems][-1] == "residual"
    assert storage.file_exists(f"{prefix}/residual.waveform.json")
    files = []
    for stem in manifest.result.stems:
        assert stem.gain == "1"
        path = worker.folder / f"{stem.type}.flac"
        path.write_bytes(storage.get_object(f"{prefix}/{stem.type}.flac"))
        files.append(read(path)[0])
    assert np.array_equal(total(files), read(song)[0])

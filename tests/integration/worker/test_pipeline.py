"""A song from its mixture to finished files, with the small model of these tests."""

import hashlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.waiting import patience
from tests.support.waveforms import as_defined, sixteen_bits
from tests.support.worker import Models

from bench.audio_files import Samples
from bench.normalising import normalisation
from splitjob.errors import ErrorCode, Failure
from splitjob.models import load_registry
from splitjob_worker import pipeline as songs
from splitjob_worker.cancellation import Cancelled
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Options, Remainder
from splitjob_worker.pipeline import SeparatedSong, separate_song
from splitjob_worker.reporting.progress import Progress
from splitjob_worker.scratch import Scratch
from splitjob_worker.spool import Spool, SpoolWriter
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import ClipMode, Encoding
from splitjob_worker.stems.output import EncodedStem, NoObserver, StemOutput, WaveformFile
from splitjob_worker.stems.stem_writer import StemWriter

pytest.importorskip("torch")

from splitjob_worker.engine.separator import Separator

RATE = 44100
SECONDS = 4  # of more than one block


@pytest.fixture(scope="module")
def separator(models: Models) -> Separator:
    found = weights.find(models.record, models.folder)
    return Separator(found, "cpu", ["vocals", "bass"], remainder=Remainder("rest"))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """Noise so loud that the remainder needs a gain, and the stems of a random model do not."""
    noise = np.random.default_rng(5).standard_normal((SECONDS * RATE, 2)).astype(np.float32)
    with SpoolWriter(tmp_path_factory.mktemp("mixture") / "mixture.f32") as writer:
        writer.append(0.4 * noise)
        return writer.close()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Where files and spools go."""
    (tmp_path / "files").mkdir()
    (tmp_path / "scratch").mkdir()
    return tmp_path / "files", tmp_path / "scratch"


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [one.name for one in threading.enumerate() if one.name.startswith("stem")] == []


def run(
    separator: Separator,
    mixture: Spool,
    folders: tuple[Path, Path],
    encoding: Encoding | None = None,
    **changes: Any,
) -> SeparatedSong:
    files, scratch = folders
    output = StemOutput(
        encoding or Encoding(),
        files,
        changes.pop("scratch", Scratch(scratch)),
        changes.pop("observer", NoObserver()),
    )
    return separate_song(
        separator,
        mixture,
        normalisation(mixture.blocks()),
        changes.pop("options", Options()),
        output,
        progress=changes.pop("progress", Progress(io.StringIO())),
        **changes,
    )


def left(folders: tuple[Path, Path]) -> list[Path]:
    return [path for folder in folders for path in folder.iterdir()]


def test_files_as_if_encoded_afterwards(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """The remainder exceeds full scale: its encoding is made again, and gives the same bytes."""
    blocks = list(separator.separate(mixture, normalisation(mixture.blocks()), Options()))
    whole = np.concatenate(blocks, axis=-1)
    for encoding in (Encoding(), Encoding("mp3", bitrate_kbps=128), Encoding("flac", 24)):
        made = run(separator, mixture, folders, encoding)
        gains = {}
        for stem, samples in zip(made.stems, whole, strict=True):
            assert stem.report.peak == np.abs(samples).max()
            gain = 1 / max(1.01 * stem.report.peak, 1)
            assert encoded(samples.T, stem.report.name, encoding, gain, tmp_path) == stem.report
            content = stem.path.read_bytes()
            assert hashlib.sha256(content).hexdigest() == stem.report.sha256
            gains[stem.report.name] = gain
        assert gains["vocals"] == 1.0
        assert gains["rest"] < 1.0
        assert folders[1].exists()
        assert list(folders[1].iterdir()) == []  # no spool is left


def encoded(samples: Samples, name: str, encoding: Encoding, gain: float, folder: Path) -> Any:
    """Encode a stem by itself."""
    (folder / "alone").mkdir(exist_ok=True)
    file = StemFile(name, len(samples), RATE, encoding, folder / "alone", gain)
    file.write(samples)
    return file.close(float(np.abs(samples).max())).report


def test_the_demo_model(mixture: Spool, folders: tuple[Path, Path]) -> None:
    """The model that every installation has, all of its stems, to the formats people ask for."""
    demo = Separator(weights.find(load_registry()["demo"], None), "cpu")
    wav = run(demo, mixture, folders)
    assert [one.path.name for one in wav.stems] == [f"{name}.wav" for name in demo.stems]
    assert wav.residual_dbfs is not None
    assert -60 < wav.residual_dbfs < 0
    mp3 = run(demo, mixture, folders, Encoding("mp3"))
    assert [one.report.peak for one in mp3.stems] == [one.report.peak for one in wav.stems]
    assert all(
        one.report.size < 0.3 * two.report.size
        for one, two in zip(mp3.stems, wav.stems, strict=True)
    )


def test_waveforms_are_those_of_the_files_after_their_gain_and_of_the_mixture(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    taken: list[WaveformFile] = []

    class Taking(NoObserver):
        def waveform_finished(self, waveform: WaveformFile) -> None:
            taken.append(waveform)

    made = run(separator, mixture, folders, Encoding(waveforms=True), observer=Taking())
    assert made.stems[-1].report.gain < 1
    names = [*separator.outputs, "mixture"]
    assert [one.report.name for one in made.waveforms] == names
    assert sorted(taken, key=lambda one: one.path) == sorted(
        made.waveforms, key=lambda one: one.path
    )
    samples = [sixteen_bits(stem.path) for stem in made.stems]
    whole = np.concatenate(list(mixture.blocks())).clip(-1, 1)
    samples.append((whole * np.float32(32767)).astype(np.int16))
    for one, expected in zip(made.waveforms, samples, strict=True):
        assert one.path == folders[0] / f"{one.report.name}.waveform.json"
        assert json.loads(one.path.read_text()) == as_defined(expected)


def test_one_gain_for_all(separator: Separator, mixture: Spool, folders: tuple[Path, Path]) -> None:
    made = run(separator, mixture, folders, Encoding("wav", 32, clip_mode="shared"))
    (gain,) = {stem.report.gain for stem in made.stems}
    assert gain == 1 / (1.01 * max(stem.report.peak for stem in made.stems)) < 1
    samples = [np.frombuffer(one.path.read_bytes()[-8 * RATE :], "<f4") for one in made.stems]
    with mixture.reader() as reader:
        expected = reader.read(mixture.frames - RATE, mixture.frames).reshape(-1)
    assert np.abs(sum(samples) / np.float32(gain) - expected).max() < 1e-5


@pytest.mark.parametrize("mode", ["clamp", "tanh", "none"])
def test_where_no_gain_can_come_nothing_is_spooled(
    separator: Separator,
    mixture: Spool,
    folders: tuple[Path, Path],
    mode: ClipMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a spool was opened")

    monkeypatch.setattr("splitjob_worker.stems.stem_writer.SpoolWriter", refuse)
    made = run(separator, mixture, folders, Encoding(clip_mode=mode))
    assert [stem.report.gain for stem in made.stems] == [1.0, 1.0, 1.0]
    assert {stem.report.size for stem in made.stems} == {44 + 4 * mixture.frames}


def test_a_file_is_taken_while_others_are_still_made(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    """Taking one (a slow upload, here one that waits for the rest) does not hold up another."""
    taken: list[str] = []
    rest_is_there = threading.Event()

    class Taking(NoObserver):
        def file_finished(self, stem: EncodedStem) -> None:
            take(stem)

    def take(stem: EncodedStem) -> None:
        assert stem.path.stat().st_size == stem.report.size
        if stem.report.name == "rest":
            rest_is_there.set()
        else:
            assert rest_is_there.wait(patience(120))
        taken.append(stem.report.name)

    made = run(separator, mixture, folders, observer=Taking())
    assert [stem.report.name for stem in made.stems] == ["vocals", "bass", "rest"]
    assert sorted(taken) == ["bass", "rest", "vocals"]


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux")
def test_encoders_let_the_model_go_first(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    priorities: set[int] = set()

    class Asking(NoObserver):
        def file_grew(self, _path: Path) -> None:
            priorities.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    run(separator, mixture, folders, observer=Asking())
    assert min(priorities) > os.nice(0)


def test_a_slow_disk_slows_the_model(
    separator: Separator,
    mixture: Spool,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until the disk takes the first samples, the model gives no more than the queues hold."""
    may_write, stood_still = threading.Event(), []
    shares = [0.0]
    write = StemWriter.write

    def slow(writer: StemWriter, samples: Samples) -> None:
        may_write.wait(patience(120))
        write(writer, samples)

    def look() -> None:
        """Called while the model waits; where it stays, the disk is let go on."""
        stood_still.append(shares[-1])
        if not may_write.is_set() and stood_still[-20:] == [shares[-1]] * 20:
            shares.append(-shares[-1])
            may_write.set()

    class Noting:
        """Notes how far the model came."""

        @contextmanager
        def stage(self, _name: str) -> Iterator[Callable[[float], None]]:
            yield shares.append

    monkeypatch.setattr(songs, "MAX_QUEUED", 2)
    monkeypatch.setattr(StemWriter, "write", slow)
    short = Options(segment=0.5)  # more of them than the queues hold, two at a time
    made = run(separator, mixture, folders, options=short, progress=Noting(), check_cancelled=look)
    (came_to,) = [-share for share in shares if share < 0]
    assert 0 < came_to < 1
    assert max(shares) == shares[-1] == pytest.approx(1.0)
    assert len(made.stems) == 3


def test_told_to_stop_in_the_middle(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    calls = []

    def stop() -> None:
        calls.append(len(left(folders)))
        if calls[-1] >= 5:  # spools and files are under way; one file may be given up already
            raise Cancelled

    with pytest.raises(Cancelled):
        run(separator, mixture, folders, check_cancelled=stop)
    assert left(folders) == []


def test_told_to_stop_while_a_file_is_made_again(
    separator: Separator,
    mixture: Spool,
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again, may_go_on = threading.Event(), threading.Event()
    blocks = Spool.blocks

    def slow(spool: Spool, *size: int) -> Iterator[Samples]:
        for block in blocks(spool, *size):
            if "mixture" not in spool.path.name:
                again.set()
                may_go_on.wait(patience(60))
            yield block

    def stop() -> None:
        if again.is_set():
            may_go_on.set()
            raise Cancelled

    monkeypatch.setattr(Spool, "blocks", slow)
    with pytest.raises(Cancelled):
        run(separator, mixture, folders, check_cancelled=stop)
    assert left(folders) == []


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
def test_a_disk_that_fills_up_ends_the_song(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path], form: Any
) -> None:
    """Acceptance 50; one stem's file has no space."""
    (folders[0] / f"bass.{form}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        run(separator, mixture, folders, Encoding(form))
    assert left(folders) == []


def test_what_takes_the_files_may_fail(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    class Refusing(NoObserver):
        def file_finished(self, stem: EncodedStem) -> None:
            raise Failure(ErrorCode.UPLOAD_FAILED, f"no {stem.path.name}")

    with pytest.raises(Failure) as caught:
        run(separator, mixture, folders, Encoding(waveforms=True), observer=Refusing())
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert left(folders) == []


def test_a_disk_that_is_too_small_is_told_before_the_work(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    """Acceptance 50: three stems of 4 s in float32, and their files in 16 bits."""
    progress = Progress(io.StringIO())
    scratch = Scratch(folders[1], limit=6_000_000)
    with pytest.raises(Failure, match=r"needs up to 7 MB .* only 6 MB are left") as caught:
        run(separator, mixture, folders, scratch=scratch, progress=progress)
    assert caught.value.code is ErrorCode.WORKER_STORAGE
    assert progress.timings == {}
    assert left(folders) == []
    run(separator, mixture, folders, scratch=Scratch(folders[1], limit=7_000_000))


def test_a_stem_may_be_called_mixture(
    models: Models, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    """Its spool is another file than the song's, which may lie in the same folder."""
    song = Spool(folders[1] / "mixture.f32", mixture.frames)
    song.path.write_bytes(mixture.path.read_bytes())
    found = weights.find(models.record, models.folder)
    two = Separator(found, "cpu", ["vocals"], remainder=Remainder("mixture"))
    assert [stem.report.name for stem in run(two, song, folders).stems] == ["vocals", "mixture"]
    assert song.path.read_bytes() == mixture.path.read_bytes()


def test_samples_that_are_not_finite_end_the_song(
    models: Models, mixture: Spool, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch  # noqa: PLC0415

    broken = Separator(weights.find(models.record, models.folder), "cpu")
    monkeypatch.setattr(
        broken._bag.members[0].model,
        "forward",
        lambda heard: torch.full((len(heard), 4, *heard.shape[1:]), torch.nan),
    )
    with pytest.raises(Failure, match="not finite"):
        run(broken, mixture, folders)
    assert left(folders) == []


def test_a_rate_and_tags_of_ones_own(
    separator: Separator, mixture: Spool, folders: tuple[Path, Path]
) -> None:
    made = run(
        separator,
        mixture,
        folders,
        Encoding("flac", sample_rate=48000, tags={"title": "Song"}),
    )
    for stem in made.stems:
        assert stem.report.frames == SECONDS * 48000
        assert f"Song ({stem.report.name})".encode() in stem.path.read_bytes()

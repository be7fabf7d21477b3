"""`track-tree-audio separate` as a process, on a few seconds of sound, with the demo model."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support.waiting import patience

from bench.audio_files import Samples, tones, write_audio
from splitjob.errors import Failure
from splitjob_worker.cli.separate import command, models
from splitjob_worker.engine import weights

torch: Any = pytest.importorskip("torch")

from demucs.api import Separator as DemucsSeparator  # noqa: E402
from demucs.apply import BagOfModels  # noqa: E402
from demucs.hf import load_safetensors_model  # noqa: E402

STEMS = ["drums", "bass", "other", "vocals"]
TIMEOUT = patience(280)
COMMAND = [str(Path(sys.executable).with_name("track-tree-audio")), "separate"]


@dataclass(frozen=True)
class Ended:
    """A command that has come to its end."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        found = (self.folder / "separated").rglob("*")
        return sorted(
            str(path.relative_to(self.folder / "separated")) for path in found if path.is_file()
        )


def separate(folder: Path, *words: str) -> Ended:
    """Run the command in a folder."""
    run = subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    return Ended(run.returncode, run.stdout, run.stderr, folder)


def sound(seconds: float, rate: int = 44100) -> Samples:
    """Tones and noise, shape (2, n)."""
    clean = tones(rate, seconds, 2)
    noise = np.random.default_rng(5).standard_normal(clean.shape)
    return (clean + 0.1 * noise).astype(np.float32)


def read(path: Path) -> tuple[Samples, int]:
    """Decode a file; return its samples, shape (2, n), and its rate."""
    with av.open(str(path)) as file:
        adapt = av.AudioResampler(format="fltp", layout="stereo")
        frames = [*file.decode(audio=0), None]
        parts = [part.to_ndarray() for one in frames for part in adapt.resample(one)]
        return np.concatenate(parts, axis=1), file.streams.audio[0].rate or 0


def demucs(samples: Samples) -> dict[str, Samples]:
    """What Demucs' own `Separator` gives with the same weights, without shifts."""
    reference = object.__new__(DemucsSeparator)
    path = weights.embedded_folder() / "demo.safetensors"
    reference._model = BagOfModels([load_safetensors_model(path)])
    reference._samplerate, reference._audio_channels = 44100, 2
    reference.update_parameter(
        device="cpu", shifts=0, overlap=0.25, split=True, segment=None, jobs=0, progress=False,
        callback=None, callback_arg=None,
    )  # fmt: skip
    _, stems = reference.separate_tensor(torch.from_numpy(samples))
    return {name: stem.numpy() for name, stem in stems.items()}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """One run over good files and bad ones."""
    folder = tmp_path_factory.mktemp("several")
    write_audio(folder / "my.song.wav", sound(3.7))
    write_audio(folder / "low.flac", sound(1.0, 22050), rate=22050, codec="flac")
    (folder / "broken.mp3").write_bytes(b"these are only words. " * 100)
    (folder / "folder").mkdir()
    return separate(
        folder, "-n", "demo", "-d", "cpu", "--shifts", "0", "--float32", "--json", "-j", "2",
        "my.song.wav", "broken.mp3", "missing.wav", "folder", "low.flac",
    )  # fmt: skip


def test_bad_files_are_reported_and_the_others_go_on(several: Ended) -> None:
    assert several.status == 10
    assert [(line["file"], line["status"], line.get("errorCode")) for line in several.lines] == [
        ("my.song.wav", "completed", None),
        ("broken.mp3", "failed", "audio_unreadable"),
        ("missing.wav", "failed", "source_not_found"),
        ("folder", "failed", "audio_unreadable"),
        ("low.flac", "completed", None),
    ]
    assert "separate: broken.mp3: " in several.err
    assert "please try again after surrounding" in several.err
    assert "-j is ignored" in several.err


def test_the_layout_is_that_of_demucs(several: Ended) -> None:
    expected = [f"demo/{track}/{stem}.wav" for track in ("my.song", "low") for stem in STEMS]
    assert several.files == sorted(expected)
    assert not list((several.folder / "separated").rglob(".*"))


def test_the_same_samples_as_demucs(several: Ended) -> None:
    mixture, _ = read(several.folder / "my.song.wav")
    expected = demucs(mixture)
    for name in STEMS:
        ours, rate = read(several.folder / "separated/demo/my.song" / f"{name}.wav")
        assert rate == 44100
        assert ours.shape == expected[name].shape
        assert np.abs(ours - expected[name]).max() <= 1e-4 * max(1, np.abs(expected[name]).max())


def test_a_line_of_json_says_what_was_made(several: Ended) -> None:
    song, low = several.lines[0], several.lines[-1]
    assert (song["model"], song["device"]) == ("demo", "cpu")
    assert song["modelDigest"].startswith("sha256:")
    assert song["audio"] == {"duration": 3.7, "sampleRate": 44100, "channels": 2}
    assert song["residual"] < 0
    assert {"load", "decode", "separate", "encode"} == set(song["timings"])
    assert [stem["name"] for stem in song["stems"]] == STEMS
    for stem in song["stems"]:
        content = (several.folder / stem["path"]).read_bytes()
        assert stem["size"] == len(content)
        assert stem["sha256"] == hashlib.sha256(content).hexdigest()
        assert (stem["gain"], stem["silent"]) == (1.0, False)
        assert 0 < stem["peak"] < 1
    assert low["audio"]["sampleRate"] == 22050
    assert [stem["sampleRate"] for stem in low["stems"]] == [44100] * 4
    assert [stem["duration"] for stem in low["stems"]] == [1.0] * 4


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short song."""
    folder = tmp_path_factory.mktemp("song")
    write_audio(folder / "song.wav", sound(1.2, 48000), rate=48000)
    return folder


def test_two_stems_and_the_sum_of_the_others(song: Path) -> None:
    ended = separate(
        song, "-n", "demo", "--shifts", "0", "--two-stems", "vocals", "--flac", "--int24",
        "-o", "separated/add", "song.wav",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert "separate: running on " in ended.err
    assert "Separating track song.wav" in ended.out
    assert "%|" not in ended.err  # no bar where there is no terminal
    folder = song / "separated/add/demo/song"
    assert sorted(path.name for path in folder.iterdir()) == ["no_vocals.flac", "vocals.flac"]
    whole = separate(
        song, "-n", "demo", "--shifts", "0", "--int24", "-o", "separated/all", "song.wav"
    )
    assert whole.status == 0, whole.err
    others = sum(
        read(song / f"separated/all/demo/song/{name}.wav")[0] for name in STEMS if name != "vocals"
    )
    assert np.abs(read(folder / "no_vocals.flac")[0] - others).max() < 1e-5


def test_two_stems_and_the_song_minus_the_stem(song: Path) -> None:
    ended = separate(
        song, "-n", "demo", "--shifts", "0", "--two-stems", "drums", "--other-method", "minus",
        "--float32", "--rate", "input", "--filename", "{stem}/{track}.{trackext}.{ext}",
        "-o", "separated/minus", "song.wav",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    folder = song / "separated/minus/demo"
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))
    assert made == ["drums/song.wav.wav", "minus_drums/song.wav.wav"]
    mixture, _ = read(song / "song.wav")
    drums, rate = read(folder / "drums/song.wav.wav")
    rest, _ = read(folder / "minus_drums/song.wav.wav")
    assert (rate, drums.shape) == (48000, mixture.shape)
    # There and back between two rates: all but the highest octave stays what it was.
    middle = slice(4800, -4800)
    error = np.fft.rfft((drums + rest - mixture)[:, middle])
    assert np.abs(error[:, : error.shape[1] // 2]).max() < 0.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error(song: Path) -> None:
    ended = separate(
        song, "-n", "demo", "-d", "cuda", "-o", "gpu", "--json", "song.wav", "again.wav"
    )
    assert ended.status == 14
    assert [line["errorCode"] for line in ended.lines] == ["gpu_error", "gpu_error"]
    assert not (song / "gpu").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(song: Path, number: signal.Signals, status: int) -> None:
    write_audio(song / "long.wav", sound(40))
    process = subprocess.Popen(
        [*COMMAND, "-n", "demo", "-d", "cpu", "--shifts", "40", "-o", "stopped", "long.wav"],
        cwd=song, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        deadline = time.monotonic() + TIMEOUT / 2
        while not any((song / "stopped").rglob("vocals*")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=TIMEOUT / 2)
    assert process.returncode == status, said
    assert "interrupted" in said
    assert not (song / "stopped").exists()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run what ends before any work begins, within this process."""
    status = command.main([*words])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("MODEL_DIR", raising=False)
    monkeypatch.delenv("MODEL_REGISTRY", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_missing_weights_say_what_to_do(
    without_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "song.wav", "--json")
    assert status == command.EXIT_MODEL
    assert "track-tree-audio weights fetch htdemucs --to models" in err
    assert "-n demo" in err
    assert json.loads(out)["errorCode"] == "model_unavailable"
    assert list(without_weights.iterdir()) == []


def test_an_output_that_cannot_be_made_is_told_of_each_song(tmp_path: Path) -> None:
    (tmp_path / "separated").write_text("no folder")
    ended = separate(tmp_path, "-n", "demo", "--json", "one.wav", "two.wav")
    assert ended.status == command.EXIT_DISK
    assert "Not a directory" in ended.err
    assert [(line["file"], line["errorCode"]) for line in ended.lines] == [
        ("one.wav", "worker_storage"),
        ("two.wav", "worker_storage"),
    ]


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    """Before the song is even decoded: these are none."""
    long_name = f"{'x' * 245}.wav"
    for name in (long_name, "song.wav"):
        (tmp_path / name).write_text("no sound")
    (tmp_path / "separated" / "demo" / "song_bass.wav").mkdir(parents=True)
    names = ["--filename", "{track}_{stem}.{ext}"]
    ended = separate(tmp_path, "-n", "demo", "--json", *names, long_name, "song.wav")
    assert ended.status == command.EXIT_DISK
    assert [line["errorCode"] for line in ended.lines] == ["worker_storage"] * 2
    assert "_vocals.wav: File name too long" in ended.err
    assert "song_bass.wav: a folder is in the way" in ended.err
    assert ended.files == []


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["-n", "unknown"], 13, "there is no model called unknown; known are demo"),
        (["-n", "hf://someone/model"], 13, "nothing is downloaded"),
        (["-n", "demo", "--repo", "nowhere"], 13, "nowhere must exist"),
        (["-n", "demo", "--two-stems", "guitar"], 2, "STEM must be one of drums, bass"),
        (["-n", "demo", "--segment", "60"], 2, "Maximum segment is: "),
        (["-n", "demo", "other/song.mp3"], 2, "would be written to the same files"),
        (
            ["-n", "demo", "--two-stems=bass", "--filename={track}_{stem}.{ext}", "song_no.wav"],
            2,
            "song_no_bass.wav for one",
        ),
    ],
)
def test_what_cannot_be_separated_is_refused_in_words(
    without_weights: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    reason: str,
) -> None:
    ended, _, err = run(capsys, *words, "song.wav")
    assert (ended, list(without_weights.iterdir())) == (status, [])
    assert reason in err


def test_a_folder_of_pickles_is_refused(
    without_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (without_weights / "bag.yaml").write_text("models: ['abc']\n")
    (without_weights / "abc-12345678.th").write_bytes(b"\x80\x04.")
    for name in ("bag", "abc"):
        status, _, err = run(capsys, "-n", name, "--repo", ".", "song.wav")
        assert status == command.EXIT_MODEL
        assert "is a pickle" in err
        assert "weights fetch" in err


def test_a_folder_of_ones_own(without_weights: Path) -> None:
    for path in weights.embedded_folder().iterdir():
        (without_weights / path.name).write_bytes(path.read_bytes())
    chosen = models.choose("demo", without_weights)
    assert chosen.record.stems == tuple(STEMS)
    assert weights.find(chosen.record, chosen.folder).paths[0].parent == without_weights


@pytest.mark.parametrize("segment", [".inf", "{numerator: 1, denominator: 0}", "hello", "-1"])
def test_a_bag_that_cannot_be_meant(without_weights: Path, segment: str) -> None:
    for path in weights.embedded_folder().iterdir():
        (without_weights / path.name).write_bytes(path.read_bytes())
    (without_weights / "demo.yaml").write_text(f"models: [demo]\nsegment: {segment}\n")
    with pytest.raises(Failure, match="do not describe a model of Demucs"):
        models.choose("demo", without_weights)


def test_listing_models(without_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--list-models")
    assert status == 0
    assert "demo           drums, bass, other, vocals\n" in out
    assert "htdemucs       the weights of htdemucs are not here" in out
    (without_weights / "mine.yaml").write_text("models: ['abc']\n")
    status, out, _ = run(capsys, "--list-models", "--repo", ".")
    assert (status, out.split()[0]) == (0, "mine")

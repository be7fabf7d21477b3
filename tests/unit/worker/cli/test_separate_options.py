"""The command line of `track-tree-audio separate`, and the names of its files."""

import os
import pty
import sys
import termios
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.errors import Failure
from splitjob_worker.cli.separate.console import Console, Progress
from splitjob_worker.cli.separate.layout import Layout, LayoutError, Workspace
from splitjob_worker.cli.separate.options import Arguments, parse
from splitjob_worker.cli.separate.track import TrackSeparation
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.source.audio import Decoded

DEMUCS_DEFAULTS = {
    "model": "htdemucs",
    "repo": None,
    "out": Path("separated"),
    "template": "{track}/{stem}.{ext}",
    "stem": None,
    "other_method": "add",
    "shifts": 1,
    "overlap": 0.25,
    "segment": None,
    "format": "wav",
    "bit_depth": 16,
    "mp3_preset": 2,
    "clip_mode": "rescale",
}


def test_the_defaults_are_those_of_demucs() -> None:
    given = parse(["song.mp3"])
    assert {name: getattr(given, name) for name in DEMUCS_DEFAULTS} == DEMUCS_DEFAULTS
    assert (given.files, given.device, given.bitrate_kbps) == (("song.mp3",), "auto", None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-n htdemucs_ft", {"model": "htdemucs_ft"}),
        ("--name=demo -o out", {"model": "demo", "out": Path("out")}),
        ("--two-stems vocals", {"stem": "vocals", "other_method": "add"}),
        ("--two-stems=bass --other-method minus", {"stem": "bass", "other_method": "minus"}),
        ("--int24", {"format": "wav", "bit_depth": 24}),
        ("--float32", {"format": "wav", "bit_depth": 32}),
        ("--flac --int24", {"format": "flac", "bit_depth": 24}),
        ("--mp3 --mp3-bitrate 192", {"format": "mp3", "bitrate_kbps": 192}),
        ("--mp3 --mp3-preset 7", {"format": "mp3", "mp3_preset": 7}),
        ("--opus --bitrate 96", {"format": "opus", "bitrate_kbps": 96}),
        ("--m4a", {"format": "m4a"}),
        ("-d cpu --shifts 0 --overlap 0.1", {"device": "cpu", "shifts": 0, "overlap": 0.1}),
        ("--segment 5", {"segment": 5.0}),
        ("--clip-mode none", {"clip_mode": "none"}),
        (
            "--clip-mode exact --int24 --residual-to vocals",
            {"clip_mode": "exact", "bit_depth": 24, "residual_to": "vocals"},
        ),
        ("--flac --int24 --clip-mode exact", {"clip_mode": "exact", "residual_to": None}),
        ("--rate input", {"input_rate": True}),
        ("--filename {track}.{stem}.{ext}", {"template": "{track}.{stem}.{ext}"}),
        ("-j 4", {"jobs": 4}),
        ("-v --json", {"verbose": True, "json": True}),
    ],
)
def test_each_option_is_read(words: str, expected: dict[str, Any]) -> None:
    for line in (["one.wav", *words.split(), "two.wav"], [*words.split(), "one.wav", "two.wav"]):
        given = parse(line)
        assert given.files == ("one.wav", "two.wav")
        assert {name: getattr(given, name) for name in expected} == expected


def test_what_stands_behind_two_dashes_is_a_file() -> None:
    given = parse(["one.wav", "--flac", "--", "-n.wav", "--help"])
    assert (given.files, given.format) == (("one.wav", "-n.wav", "--help"), "flac")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "say which files"),
        ("https://me:secret@example.com/song.mp3?token=secret", "is a URL"),
        ("song.wav --no-split", "memory would grow"),
        ("song.wav -s abc123", "a signature names"),
        ("song.wav -d cuda:1", "CUDA_VISIBLE_DEVICES"),
        ("song.wav -d tpu", "is not one of auto, cpu, cuda, mps"),
        ("song.wav --shifts -1", "less than 0"),
        ("song.wav --overlap 1", "not between 0 and 0.99"),
        ("song.wav --overlap nan", "not between"),
        ("song.wav --segment 0", "not between"),
        ("song.wav --flac --mp3", "not allowed with"),
        ("song.wav --int24 --float32", "not allowed with"),
        ("song.wav --mp3 --int24", "mp3 has no bit depth"),
        ("song.wav --flac --float32", "flac takes 16 or 24 bits"),
        ("song.wav --bitrate 320", "wav is lossless"),
        ("song.wav --mp3 --mp3-bitrate 300", "or 320 kbit/s"),
        ("song.wav --mp3-preset 1", "invalid choice"),
        ("song.wav --clip-mode sharp", "invalid choice"),
        ("song.wav --clip-mode exact", "--int24, of wav or --flac, or --float32"),
        ("song.wav --clip-mode exact --flac", "--int24, of wav or --flac, or --float32"),
        ("song.wav --clip-mode exact --mp3", "--int24, of wav or --flac, or --float32"),
        ("song.wav --clip-mode exact --int24 --two-stems bass", "leave --two-stems out"),
        ("song.wav --clip-mode exact --int24 --rate input", "the model's sample rate only"),
        ("song.wav --residual-to bass", "goes with --clip-mode exact only"),
        ("song.wav --filename {track}.{ext}", "must contain {stem}"),
        ("song.wav --filename {artist}/{stem}.{ext}", "only {track}"),
        ("song.wav --filename {stem", "only {track}"),
        ("song.wav --filename ../{stem}.{ext}", "below the output folder"),
        ("song.wav --filename /tmp/{stem}.{ext}", "below the output folder"),
        ("song.wav --filename {stem}.mp3", "names like drums.mp3"),
        ("song.wav --what", "unrecognized"),
    ],
)
def test_refusals_say_why(words: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert reason in said
    assert "secret" not in said


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in ("--two-stems", "--float32", "--repo", "--list-models", "--json", "--mp3-preset"):
        assert option in said


def test_listing_models_needs_no_file() -> None:
    assert isinstance(parse(["--list-models"]), Arguments)


@pytest.mark.parametrize(
    ("track", "template", "expected"),
    [
        ("a/song.mp3", "{track}/{stem}.{ext}", "song/bass.wav"),
        ("a/my.song.mp3", "{track}/{stem}.{ext}", "my.song/bass.wav"),
        ("song", "{track}-{trackext}/{stem}.{ext}", "song-song/bass.wav"),
        ("song.flac", "{stem}/{track}.{trackext}.{ext}", "bass/song.flac.wav"),
    ],
)
def test_names_are_those_of_demucs(track: str, template: str, expected: str) -> None:
    layout = Layout(Path("out/demo"), template, "wav")
    assert layout.path(Path(track), "bass") == Path("out/demo") / expected


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_no_name_leaves_the_folder(name: str) -> None:
    folder = Path("out/demo")
    try:
        path = Layout(folder, "{track}/{stem}.{ext}", "wav").path(Path("music") / name, "bass")
    except LayoutError:
        return
    assert path.is_relative_to(folder)
    assert ".." not in path.parts


def test_the_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=False)
    console.say("Separating track \x1b[2J\rö.mp3\nnext")
    console.warn("\x9b1A\x7f.mp3: no")
    told = capsys.readouterr()
    assert told.out == "Separating track \\x1b[2J\\x0dö.mp3\nnext\n"
    assert told.err == "separate: \\x9b1A\\x7f.mp3: no\n"


def test_two_songs_of_one_name_are_refused() -> None:
    layout = Layout(Path("out"), "{track}/{stem}.{ext}", "wav")
    with pytest.raises(LayoutError, match=r"a/song\.mp3 and b/song\.flac"):
        layout.check([Path("a/song.mp3"), Path("b/song.flac")], ["bass", "drums"])
    other = Layout(Path("out"), "{track}.{trackext}/{stem}.{ext}", "wav")
    other.check([Path("a/song.mp3"), Path("b/song.flac")], ["bass", "drums"])


@pytest.mark.parametrize("songs", [["song.mp3", "song_no.mp3"], ["song_no.mp3", "song.mp3"]])
def test_two_songs_that_share_one_name_are_refused(songs: list[str]) -> None:
    """Where the one's stem has the name of the other's rest."""
    words = ["--two-stems", "vocals", "--filename", "{track}_{stem}.{ext}", *songs]
    given = parse(words)
    layout = Layout(Path("out"), given.template, given.format)
    tracks = [Path(song) for song in songs]
    with pytest.raises(LayoutError, match=r"same files, out/song_no_vocals\.wav for one"):
        layout.check(tracks, given.outputs(["drums", "vocals"]))
    for other_method in ("minus", "none"):
        given = parse([*words, "--other-method", other_method])
        layout.check(tracks, given.outputs(["drums", "vocals"]))


def test_no_song_is_written_over_by_a_stem(tmp_path: Path) -> None:
    """Neither by its own, where stems are separated further, nor by another song's."""
    stems = ["bass", "drums"]
    (tmp_path / "link").symlink_to(tmp_path)
    flat = Layout(tmp_path / "demo", "{stem}.{ext}", "wav")
    with pytest.raises(LayoutError, match=r"demo/drums\.wav is a song to be separated"):
        flat.check([tmp_path / "link" / "demo" / "drums.wav"], stems)
    flat.check([tmp_path / "demo" / "other.wav"], stems)
    usual = Layout(tmp_path / "demo", "{track}/{stem}.{ext}", "wav")
    with pytest.raises(LayoutError, match=r"a stem of song\.mp3 would be written over it"):
        usual.check([Path("song.mp3"), tmp_path / "demo" / "song" / "bass.wav"], stems)


def test_a_workspace_leaves_only_what_was_published(tmp_path: Path) -> None:
    folder = tmp_path / "separated" / "demo"
    with Workspace(folder) as workspace:
        assert workspace.hidden.parent == folder
        finished = workspace.hidden / "bass.wav"
        finished.write_text("sound")
        (workspace.hidden / "half").write_text("so")
        workspace.publish({finished: folder / "song" / "bass.wav"})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "song/bass.wav"]


def test_a_workspace_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    with Workspace(tmp_path / "separated" / "demo") as workspace:
        (workspace.hidden / "half").write_text("so")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_keeps_all_files_out(tmp_path: Path) -> None:
    (tmp_path / "song" / "bass.wav").mkdir(parents=True)
    with Workspace(tmp_path) as workspace:
        files = {}
        for stem in ("drums", "bass"):
            files[workspace.hidden / stem] = tmp_path / "song" / f"{stem}.wav"
            (workspace.hidden / stem).write_text("sound")
        with pytest.raises(IsADirectoryError, match=r"in the way.*song/bass\.wav"):
            workspace.publish(files)
    assert not (tmp_path / "song" / "drums.wav").exists()


def test_places_that_cannot_be_written_are_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "song").write_text("no folder")
    (tmp_path / "closed").mkdir()
    with Workspace(tmp_path / "separated") as workspace:
        folder = tmp_path / "separated" / "song"
        workspace.prepare([folder / "bass.wav"])
        with pytest.raises(OSError, match="File name too long"):
            workspace.prepare([folder / f"{'x' * 252}.wav"])
        with pytest.raises(OSError, match="File name too long"):
            workspace.prepare([folder / ("x" * 256) / "bass.wav"])
        with pytest.raises(NotADirectoryError):
            workspace.prepare([tmp_path / "song" / "bass.wav"])
        # Root may write everywhere.
        monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path / "closed")
        with pytest.raises(PermissionError, match=r"cannot be written.*closed"):
            workspace.prepare([folder / "bass.wav", tmp_path / "closed" / "bass.wav"])
    assert {path.name for path in tmp_path.iterdir()} == {"song", "closed"}


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "separated").mkdir()
    with Workspace(tmp_path / "separated" / "demo"):
        pass
    assert list(tmp_path.rglob("*")) == [tmp_path / "separated"]


def test_exact_stems_of_the_command_include_the_residuals() -> None:
    def outputs(words: str, *stems: str) -> tuple[str, ...]:
        return parse([*words.split(), "song.wav"]).outputs(stems)

    exact = "--clip-mode exact --int24"
    assert outputs(exact, "drums", "other") == ("drums", "other")
    assert outputs(exact, "drums", "bass") == ("drums", "bass", "residual")
    asked = f"{exact} --residual-to residual"
    assert outputs(asked, "drums", "other") == ("drums", "other", "residual")


def encoding(words: str, input_rate: int) -> Any:
    nothing = cast("Any", None)
    tracks = TrackSeparation(parse([*words.split(), "song.wav"]), *[nothing] * 6)
    decoded = Decoded(480, 480, input_rate, 2, Normalisation(0.0, 1.0), tags={"title": "Song"})
    return tracks.encoding(decoded, 44100)


def test_the_options_of_the_files_reach_the_encoder() -> None:
    words = "--mp3 --mp3-preset 7 --bitrate 128 --rate input --clip-mode shared"
    made = encoding(words, 48000)
    assert (made.format, made.mp3_preset, made.bitrate) == ("mp3", 7, 128)
    assert (made.clip_mode, made.rate(44100), made.tags) == ("shared", 48000, {"title": "Song"})
    assert encoding("--mp3", 22050).rate(44100) == 44100


@pytest.mark.parametrize(
    ("words", "rate", "reason"),
    [
        ("--mp3 --rate input", 96000, "48000 Hz, not 96000"),
        ("--mp3 --rate input --bitrate 320", 22050, "at 22050 Hz takes 8, 16"),
        ("--mp3 --rate input --bitrate 128", 11025, "56 or 64 kbit/s"),
    ],
)
def test_rates_that_a_format_does_not_have(words: str, rate: int, reason: str) -> None:
    with pytest.raises(Failure, match=reason) as caught:
        encoding(words, rate)
    assert caught.value.message.endswith("leave --rate input out")


def advance(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> Progress:
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = Progress(8.0)
    with progress.stage("separate") as on_progress:
        on_progress(0.5)
        on_progress(1.0)
    return progress


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        progress = advance(terminal, monkeypatch)
        shown = b""
        while b"8.0/8.0" not in shown:  # what was written passes through piece by piece
            shown += os.read(master, 10_000)
    os.close(master)
    assert set(progress.timings) == {"separate"}


def test_no_bar_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        advance(file, monkeypatch)
    assert (tmp_path / "log").read_text() == ""

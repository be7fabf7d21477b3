"""The demo's checks must be able to fail: each part of it by itself."""

import io
import re
import time
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pytest

from bench.audio_files import write_audio
from splitjob.signing import SignatureError, Signer
from splitjob_local.demo import verify
from splitjob_local.demo.asking import ask
from splitjob_local.demo.audio import (
    Signal,
    UnreadableError,
    decode,
    rms_dbfs,
    sdr,
    to_webm,
    write_wav,
)
from splitjob_local.demo.client import SignedClient
from splitjob_local.demo.models import choose
from splitjob_local.demo.narrate import Check, Narrator
from splitjob_local.demo.page import Page, Track
from splitjob_local.demo.receiver import Delivery, Receiver
from splitjob_local.demo.song import take
from splitjob_worker.source.audio import Limits
from splitjob_worker.source.decoder_process import decode_file

RATE = 44100
BODY = b'{"jobId":"j"}'


def noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((2, round(RATE * seconds)))).astype(np.float32)


def delivery(token: str = "t", body: bytes = BODY, event: str = "e") -> Delivery:
    headers = Signer([token]).webhook_headers(event, BODY, 1_790_000_000)
    return Delivery("/", {name.lower(): value for name, value in headers.items()}, body)


def test_both_signatures_of_the_service_hold() -> None:
    assert verify.signature_holds(delivery(), "t")
    assert verify.standard_signature_holds(delivery(), "t")


@pytest.mark.parametrize(
    "forged", [delivery(token="u"), delivery(body=b"{}"), Delivery("/", {}, b"")]
)
def test_forged_signatures_do_not(forged: Delivery) -> None:
    assert not verify.signature_holds(forged, "t")
    assert not verify.standard_signature_holds(forged, "t")


def answer(request: httpx.Request, *, forgetful: bool) -> httpx.Response:
    """Answer as the API would; or as one that has no window for timestamps."""
    stamp = request.headers.get("X-Timestamp")
    now = float(stamp or 0) if forgetful else time.time()
    try:
        Signer(["t"]).verify(request.content, stamp, request.headers.get("X-Signature"), now)
    except SignatureError:
        return httpx.Response(401)
    if b"/elsewhere" in request.content:
        return httpx.Response(422)
    known = request.url.host == "last"
    return httpx.Response(200 if known else 202, json={"jobId": "j"})


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_service_that_takes_old_signatures_is_found_out(*, forgetful: bool) -> None:
    narrator = Narrator(1, io.StringIO())
    first, last = (SignedClient(f"http://{name}", "t") for name in ("first", "last"))
    for client in (first, last):
        transport = httpx.MockTransport(partial(answer, forgetful=forgetful))
        client._http = httpx.Client(base_url=client.base_url, transport=transport)
    assert ask(narrator, first, last, b'{"webhook": "http://x/webhooks/1"}') == "j"
    failed = [check.what for check in narrator.failed]
    assert failed == (["signed 301 s ago, as a replay would be: 401"] if forgetful else [])


def test_residual() -> None:
    stems = {"a": noise(1), "b": noise(2)}
    mixture = stems["a"] + stems["b"]
    written = {"a": stems["a"] * np.float32(0.5), "b": stems["b"]}
    assert verify.residual_dbfs(mixture, written, {"a": 0.5, "b": 1.0}) < -120 + 1e-6
    wrong = verify.residual_dbfs(mixture, written, {"a": 1.0, "b": 1.0})
    assert wrong == pytest.approx(rms_dbfs(stems["a"] * np.float32(0.5)), abs=0.1)
    assert verify.residuals_agree(-40.2, -40.9)
    assert verify.residuals_agree(-95.0, -120.0)
    assert not verify.residuals_agree(-40.0, -50.0)


def test_sdr_is_zero_for_silence_and_high_for_the_truth() -> None:
    stem = noise(1)
    assert sdr(stem, np.zeros_like(stem)) == pytest.approx(0.0)
    assert sdr(stem, stem) > 60
    assert sdr(stem, stem + noise(2)) == pytest.approx(0.0, abs=0.1)


def test_wav_and_webm_round_trip(tmp_path: Path) -> None:
    signal = noise(3)
    write_wav(tmp_path / "a.wav", signal, RATE)
    assert np.abs(decode(tmp_path / "a.wav", RATE) - np.clip(signal, -1, 1)).max() < 1e-4
    (tmp_path / "a.webm").write_bytes(to_webm(signal, RATE, 96))
    assert abs(decode(tmp_path / "a.webm", RATE).shape[1] - RATE) < 3 * 960


@pytest.mark.parametrize(
    ("codec", "suffix", "rate", "tail"),
    [
        ("aac", "m4a", 44100, b""),
        ("aac", "mp4", 48000, b""),
        ("libmp3lame", "mp3", 44100, b"LYRICSBEGIN" + bytes(5000) + b"LYRICS200"),
        ("flac", "flac", 44100, bytes(5000)),
    ],
)
def test_a_song_is_as_long_for_the_demo_as_for_the_worker(
    tmp_path: Path, codec: str, suffix: str, rate: int, tail: bytes
) -> None:
    """What fills up the last frame, and what is no audio, is no part of it."""
    file = write_audio(tmp_path / f"x.{suffix}", noise(4, 1.0101), rate, codec=codec)
    file.write_bytes(file.read_bytes() + tail)
    found = decode_file(file, tmp_path / "spool", Limits(RATE, 60))
    assert decode(file, RATE).shape == (2, found.frames)


def test_a_file_that_is_no_song_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_text("<html></html>" * 50)
    (tmp_path / "notes.txt").write_text("x")
    for name in ("song.mp3", "notes.txt", "nowhere.wav"):
        with pytest.raises(UnreadableError):
            take(tmp_path / name, tmp_path)


def test_better_model_only_where_its_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    assert choose(own_song=True).name == "demo"
    assert "limited" in choose(own_song=True).words
    (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']")
    assert choose(own_song=False).name == "demo"
    with pytest.raises(UnreadableError, match="below /tmp"):
        choose(own_song=True)
    monkeypatch.setattr(Path, "is_relative_to", lambda *_: False)
    assert choose(own_song=True).name == "htdemucs"


def test_receiver_keeps_raw_bodies() -> None:
    with httpx.Client(trust_env=False) as http:
        probe = Receiver("http://127.0.0.1:0/hooks")
        port = probe._server.server_port
        with probe:
            http.post(f"http://127.0.0.1:{port}/hooks/1", content=b"{ }", headers={"X-A": "b"})
            assert probe.wait(1, 2)
    assert probe.deliveries[0].body == b"{ }"
    assert probe.deliveries[0].headers["x-a"] == "b"


def test_narrator_sums_up() -> None:
    out = io.StringIO()
    narrator = Narrator(1, out)
    with narrator.step("Do it", "Because."):
        assert narrator.check(True, "this holds")
        time.sleep(0.01)
    assert narrator.end()
    narrator.check(False, "that does not")
    assert not narrator.end()
    assert "[1/1] Do it" in out.getvalue()
    assert "1 of 2 checks do not hold" in out.getvalue()


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_page_is_one_file_that_needs_no_network() -> None:
    page = Page(
        title="<Song> & co",
        subtitle="s",
        rate=RATE,
        mixture=Track("The song", noise(1), "1 s"),
        stems=[Track("Drums", noise(2), "", "drums"), Track("X", noise(3) * 0, "", "piano")],
        measures=[["Stem", "SDR"], ["Drums", "1.0 dB"]],
        checks=[Check(True, "a < b"), Check(False, "c")],
        documents={"body": '{"a": "<script>"}'},
    ).render()
    outline = Outline()
    outline.feed(page)
    assert outline.tags.count("audio") == 3
    assert outline.tags.count("svg") == 3
    assert outline.tags.count("script") == 1
    assert all(link.startswith("data:audio/webm;base64,") for link in outline.links)
    assert not re.search(r"https?://", page)
    assert "1 of 2 checks do not hold" in page
    assert "&lt;Song&gt; &amp; co" in page

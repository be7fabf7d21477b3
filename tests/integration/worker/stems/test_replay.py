"""Stems of every format, as a browser (`decodeAudioData`) and the worker itself decode them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.browser import Tab, browser
from tests.support.stems import encode

from bench import readers
from bench.audio_files import noise
from bench.replay import KINDS
from splitjob.resource import Format
from splitjob_worker.source.audio import AudioLimits
from splitjob_worker.source.decode import decode
from splitjob_worker.stems.encoding import BitDepth, Encoding

RATE = 44100
DECODE = """
    const file = Uint8Array.from(atob(%s), (one) => one.charCodeAt(0));
    const sound = await new OfflineAudioContext(2, 1, %d).decodeAudioData(file.buffer);
    const left = new Uint8Array(sound.getChannelData(0).buffer);
    const reader = new FileReader();
    const read = new Promise((done) => (reader.onload = done));
    reader.readAsDataURL(new Blob([left]));
    await read;
    return [sound.numberOfChannels, reader.result.split(",")[1]];
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize(("form", "depth"), KINDS)
def test_a_browser_plays_a_stem_as_long_as_it_is_and_not_late(
    tmp_path: Path, tab: Tab, form: Format, depth: BitDepth
) -> None:
    encoding = Encoding(form, depth, tags={"title": "Song"})
    rate = encoding.rate(RATE)
    sound = noise(rate, rate + 7)
    path = encode(sound, encoding, tmp_path, rate=rate).path
    content = json.dumps(base64.b64encode(path.read_bytes()).decode())
    channels, left = tab.run(DECODE % (content, rate))
    found = np.frombuffer(base64.b64decode(left), "<f4").reshape(-1, 1)
    assert (channels, len(found), readers.delay(found, sound)) == (2, len(sound), 0)


@pytest.mark.parametrize(("form", "depth"), KINDS)
def test_a_stem_that_is_separated_again_is_as_long_as_it_was_and_not_late(
    tmp_path: Path, form: Format, depth: BitDepth
) -> None:
    encoding = Encoding(form, depth, tags={"title": "Song", "composer": "Somebody"})
    rate = encoding.rate(RATE)
    sound = noise(rate, rate + 7)
    path = encode(sound, encoding, tmp_path, rate=rate).path
    spool, found = decode(path, tmp_path / "again.f32", AudioLimits(rate=rate, max_seconds=20))
    with spool.reader() as reader:
        again = reader.read(0, spool.frames)
    assert (len(again), readers.delay(again, sound)) == (len(sound), 0)
    assert found.tags == {"title": "Song (x)", "composer": "Somebody"}

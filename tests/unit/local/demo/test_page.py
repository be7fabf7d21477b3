"""The demo's page."""

import re
from html.parser import HTMLParser

import numpy as np

from splitjob_local.demo.audio import (
    Signal,
)
from splitjob_local.demo.narrator import Check
from splitjob_local.demo.page import Page, Track

RATE = 44100


def noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((2, round(RATE * seconds)))).astype(np.float32)


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

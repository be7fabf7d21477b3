"""A self-contained HTML page: players, waveforms, checks, documents."""

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from splitjob_local.demo.audio import Signal, to_webm
from splitjob_local.demo.narrator import Check

COLUMNS = 720
HEIGHT = 76
# A long song gets the lower bit rate, so that the page stays below some 40 MB.
KBPS = 96
LONG_KBPS = 64
LONG_SECONDS = 240.0
TINTS = {
    "drums": "#c2571a",
    "bass": "#7a4fd0",
    "other": "#1f8a70",
    "vocals": "#c22f6b",
}
OTHER_TINTS = ("#2f6fd0", "#8a7a1f", "#a03fa0", "#3f8aa0")
MIXTURE_TINT = "#5a6375"


@dataclass(frozen=True)
class Track:
    """A player on the page.

    Attributes:
        name: as shown.
        signal: shape (2, n), full scale 1.
        facts: a line about it.
        stem: the stem's type; None for the mixture.
    """

    name: str
    signal: Signal
    facts: str
    stem: str | None = None


@dataclass(frozen=True)
class Page:
    """The content of the page.

    Attributes:
        title: the song's.
        subtitle: how it was separated.
        rate: sample rate of all tracks, Hz.
        mixture: the song.
        stems: the separated stems.
        measures: a table; its first row is the header.
        checks: the results of the checks.
        documents: texts by title.
    """

    title: str
    subtitle: str
    rate: int
    mixture: Track
    stems: Sequence[Track]
    measures: Sequence[Sequence[str]]
    checks: Sequence[Check]
    documents: Mapping[str, str]

    def render(self) -> str:
        """Return the page as HTML."""
        tracks = [self.mixture, *self.stems]
        loudest = max(float(np.abs(track.signal).max(initial=1e-3)) for track in tracks)
        with ThreadPoolExecutor() as pool:
            mixture, *stems = pool.map(lambda track: self._track(track, loudest), tracks)
        template = Template(files(__package__).joinpath("page.html").read_text("utf-8"))
        return template.substitute(
            title=escape(self.title),
            subtitle=escape(self.subtitle),
            verdict=self._verdict(),
            mixture=mixture,
            stems="\n".join(stems),
            measures=_table(self.measures),
            checks="\n".join(map(_check, self.checks)),
            documents="\n".join(
                f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
                for title, text in self.documents.items()
            ),
        )

    def _verdict(self) -> str:
        failed = sum(not check.holds for check in self.checks)
        if failed:
            return f'<span class="no">{failed} of {len(self.checks)} checks do not hold.</span>'
        return f'<span class="ok">All {len(self.checks)} checks hold.</span>'

    def _track(self, track: Track, loudest: float) -> str:
        seconds = self.mixture.signal.shape[1] / self.rate
        kbps = LONG_KBPS if seconds > LONG_SECONDS else KBPS
        sound = base64.b64encode(to_webm(track.signal, self.rate, kbps)).decode()
        name = escape(track.name)
        mute = (
            f'<button class="mute" type="button" aria-pressed="false" aria-label="Mute {name}">'
            "Mute</button>"
            if track.stem
            else ""
        )
        return (
            f'<section class="track" style="--tint: {_tint(track.stem)}"'
            f' data-stem="{escape(track.stem or "")}" aria-label="{name}">'
            f'<div class="head"><h3>{name}</h3><span class="facts">{escape(track.facts)}</span>'
            f"{mute}</div>"
            f'<div class="wave">{waveform(track.signal / loudest, f"Waveform of {track.name}")}'
            '<span class="now"></span></div>'
            f'<audio controls preload="metadata" aria-label="{name}"'
            f' src="data:audio/webm;base64,{sound}"></audio></section>'
        )


def waveform(signal: Signal, title: str) -> str:
    """Return a picture of a signal as SVG: for each column the lowest and the highest sample.

    Args:
        signal: shape (channels, n), full scale 1.
        title: what a screen reader says.
    """
    columns = np.array_split(signal, min(COLUMNS, max(signal.shape[1], 1)), axis=1)
    middle = HEIGHT / 2
    highs = [middle - _clip(float(part.max())) * middle for part in columns if part.size]
    lows = [middle - _clip(float(part.min())) * middle for part in columns if part.size]
    there = [f"{x},{y:.1f}" for x, y in enumerate(highs)]
    back = [f"{x},{y + 0.6:.1f}" for x, y in reversed(list(enumerate(lows)))]
    return (
        f'<svg viewBox="0 0 {COLUMNS} {HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(title)}"><line class="axis" x1="0" x2="{COLUMNS}" y1="{middle}"'
        f' y2="{middle}"/><path d="M{" ".join(there + back)}Z"/></svg>'
    )


def _clip(value: float) -> float:
    return min(max(value, -1.0), 1.0)


def _tint(stem: str | None) -> str:
    if stem is None:
        return MIXTURE_TINT
    return TINTS.get(stem) or OTHER_TINTS[sum(stem.encode()) % len(OTHER_TINTS)]


def _check(check: Check) -> str:
    mark = '<span class="ok">&#10003;</span>' if check.holds else '<span class="no">&#10007;</span>'
    return f"<li>{mark}&ensp;{escape(check.what)}</li>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    lines = ["<table><thead><tr>", *(_cell("th", i, c) for i, c in enumerate(header))]
    lines.append("</tr></thead><tbody>")
    for row in body:
        lines += ["<tr>", *(_cell("td", i, cell) for i, cell in enumerate(row)), "</tr>"]
    return "".join([*lines, "</tbody></table>"])


def _cell(tag: str, column: int, text: str) -> str:
    kind = ' class="n"' if column else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"

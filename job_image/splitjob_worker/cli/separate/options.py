"""What was asked for, and what cannot be meant.

Nothing heavy is imported here, so that `--help` and a refusal come at once.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from splitjob import formats
from splitjob.resource import Format
from splitjob_worker.cli.separate.parser import build_parser

if TYPE_CHECKING:  # it loads numpy
    from splitjob_worker.stems.clipping import ClipMode

OtherMethod = Literal["none", "add", "minus"]


@dataclass(frozen=True)
class Arguments:
    """What was asked for.

    Attributes:
        files: the songs, in order.
        model: the model's name.
        repo: a folder of weights in place of the registry's models.
        out: the folder; the files go into one named after the model in it.
        template: of each file's name below that, `{track}`, `{trackext}`, `{stem}`, `{ext}`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: of the calculation.
        stem: the one stem wanted (`--two-stems`); None: all.
        other_method: what becomes of the others then.
        shifts, overlap, segment, seed: as `engine.stream.Options`.
        format, bit_depth, bitrate_kbps, mp3_preset, clip_mode: of the files.
        input_rate: the files have the rate of the input, not the model's.
        jobs: asked for with -j; without effect.
        json: one line of JSON for each song on standard output.
        verbose: timings, and the frames of a defect.
        list_models: list the models, separate nothing.
    """

    files: tuple[str, ...]
    model: str
    repo: Path | None
    out: Path
    template: str
    device: str
    precision: Literal["ieee", "tf32", "fp16", "bf16"]
    stem: str | None
    other_method: OtherMethod
    shifts: int
    overlap: float
    segment: float | None
    seed: int
    format: Format
    bit_depth: Literal[16, 24, 32]
    bitrate_kbps: int | None
    mp3_preset: int
    clip_mode: "ClipMode"
    input_rate: bool
    jobs: int
    json: bool
    verbose: bool
    list_models: bool

    @property
    def rest(self) -> str | None:
        """What all but the one stem is called; None: it is not wanted."""
        if self.stem is None or self.other_method == "none":
            return None
        return f"no_{self.stem}" if self.other_method == "add" else f"minus_{self.stem}"

    def outputs(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return what is written of each song by a model that gives `stems`."""
        if self.stem is None:
            return tuple(stems)
        return (self.stem,) if self.rest is None else (self.stem, self.rest)


def parse(words: Sequence[str]) -> Arguments:
    """Understand a command line.

    Raises:
        SystemExit: 0 after `--help`; 2 where it cannot be understood or is refused; the reason is
            on standard error.
    """
    parser = build_parser()
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_intermixed_args(words[:end])
    given.files += words[end + 1 :]  # whatever they begin with
    form, bit_depth = cast("Format", given.format), 24 if given.int24 else 16
    if given.float32:
        bit_depth = 32
    if not given.list_models:
        _check(parser, given, form, bit_depth)
    return Arguments(
        files=tuple(given.files),
        model=given.name,
        repo=given.repo,
        out=given.out,
        template=given.filename,
        device=given.device,
        precision=given.precision,
        stem=given.stem,
        other_method=given.other_method,
        shifts=given.shifts,
        overlap=given.overlap,
        segment=given.segment,
        seed=given.seed,
        format=form,
        bit_depth=cast("Literal[16, 24, 32]", bit_depth),
        bitrate_kbps=given.bitrate,
        mp3_preset=given.mp3_preset,
        clip_mode=given.clip_mode,
        input_rate=given.rate == "input",
        jobs=given.jobs,
        json=given.json,
        verbose=given.verbose,
        list_models=given.list_models,
    )


def _check(
    parser: argparse.ArgumentParser, given: argparse.Namespace, form: Format, bit_depth: int
) -> None:
    """Refuse what cannot be meant, before anything is loaded."""
    if not given.files:
        parser.error("say which files to separate")
    for file in given.files:
        scheme = re.match(r"(?i)[a-z][a-z0-9+.-]*://", file)
        if scheme:  # the rest may hold a password
            parser.error(
                f"{scheme[0]}... is a URL: this command reads local files only, and fetches "
                "nothing; download it first"
            )
    if bit_depth != 16:
        complaint = formats.bit_depth_problem(form, bit_depth)
        if complaint:
            option = "--float32" if bit_depth == 32 else "--int24"
            parser.error(f"{option} cannot be had here: {complaint}")
    if given.bitrate is not None:
        # The rate of a file that has the input's is known only later; 44.1 kHz is the usual one.
        complaint = formats.bitrate_problem(form, given.bitrate, 44_100)
        if complaint:
            parser.error(f"--bitrate {given.bitrate} cannot be had: {complaint}")
    _check_template(parser, given.filename, form)


def _check_template(parser: argparse.ArgumentParser, template: str, extension: str) -> None:
    try:
        one, other = (
            template.format(track="track", trackext="mp3", stem=stem, ext=extension)
            for stem in ("drums", "bass")
        )
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        parser.error(
            f"--filename {template!r} cannot be filled in: only {{track}}, {{trackext}}, {{stem}} "
            "and {ext} are known"
        )
    if one == other:
        parser.error("--filename must contain {stem}: each stem would overwrite the one before")
    path = Path(one)
    if path.is_absolute() or ".." in path.parts:
        parser.error("--filename must stay below the output folder, which -o chooses")
    if path.suffix.lower() != f".{extension}":
        parser.error(
            f"--filename gives names like {one}, but the files will be {extension}: end it in "
            "{ext}, or choose the format with --flac, --mp3, --m4a or --opus"
        )

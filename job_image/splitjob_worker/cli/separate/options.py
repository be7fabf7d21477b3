"""What was asked for, checked.

Imports nothing that takes long, so that `--help` and errors come at once.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from splitjob import formats
from splitjob.resource import Format
from splitjob.result import default_residual_stem
from splitjob_worker.cli.separate.parser import build_parser
from splitjob_worker.engine.options import Precision
from splitjob_worker.stems.encoding import BitDepth, ClipMode

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
        other_method: what is made of the other stems then.
        shifts, overlap, segment, seed: as in `engine.options.Options`.
        format, bit_depth, bitrate_kbps, mp3_preset, clip_mode: of the files.
        residual_to: the stem that takes what is left over (`--residual-to`); None: the default.
        input_rate: whether the files have the input's sample rate, not the model's.
        jobs: given with -j; has no effect.
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
    precision: Precision
    stem: str | None
    other_method: OtherMethod
    shifts: int
    overlap: float
    segment: float | None
    seed: int
    format: Format
    bit_depth: BitDepth
    bitrate_kbps: int | None
    mp3_preset: int
    clip_mode: ClipMode
    residual_to: str | None
    input_rate: bool
    jobs: int
    json: bool
    verbose: bool
    list_models: bool

    @property
    def remainder(self) -> str | None:
        """The name of the stem that holds all others; None: it is not wanted."""
        if self.stem is None or self.other_method == "none":
            return None
        return f"no_{self.stem}" if self.other_method == "add" else f"minus_{self.stem}"

    def outputs(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the files' stems, for a model that gives `stems`."""
        if self.clip_mode == "exact" and (residual := self.residual_stem(stems)) not in stems:
            return (*stems, residual)
        if self.stem is None:
            return tuple(stems)
        return (self.stem,) if self.remainder is None else (self.stem, self.remainder)

    def residual_stem(self, stems: Sequence[str]) -> str:
        """Return the stem that takes what a model that gives `stems` leaves over."""
        return self.residual_to or default_residual_stem(stems)


def parse(words: Sequence[str]) -> Arguments:
    """Parse and check a command line.

    Raises:
        SystemExit: 0 after `--help`; 2 where it cannot be understood or is refused; the reason is
            on standard error.
    """
    parser = build_parser()
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_intermixed_args(words[:end])
    given.files += words[end + 1 :]  # whatever they begin with
    bit_depth: BitDepth = 32 if given.float32 else 24 if given.int24 else 16
    if not given.list_models:
        _check(parser, given, given.format, bit_depth)
    return _arguments(given, bit_depth)


def _arguments(given: argparse.Namespace, bit_depth: BitDepth) -> Arguments:
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
        format=given.format,
        bit_depth=bit_depth,
        bitrate_kbps=given.bitrate,
        mp3_preset=given.mp3_preset,
        clip_mode=given.clip_mode,
        residual_to=given.residual_to,
        input_rate=given.rate == "input",
        jobs=given.jobs,
        json=given.json,
        verbose=given.verbose,
        list_models=given.list_models,
    )


def _check(
    parser: argparse.ArgumentParser, given: argparse.Namespace, form: Format, bit_depth: int
) -> None:
    """Refuse options that cannot be met, before anything is loaded."""
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
        problem = formats.bit_depth_problem(form, bit_depth)
        if problem:
            option = "--float32" if bit_depth == 32 else "--int24"
            parser.error(f"{option} cannot be had here: {problem}")
    if given.bitrate is not None:
        # With --rate input, the files' rate is known only later; 44.1 kHz is the usual one.
        problem = formats.bitrate_problem(form, given.bitrate, 44_100)
        if problem:
            parser.error(f"--bitrate {given.bitrate} cannot be had: {problem}")
    _check_exact(parser, given, form, bit_depth)
    _check_template(parser, given.filename, form)


def _check_exact(
    parser: argparse.ArgumentParser, given: argparse.Namespace, form: Format, bit_depth: int
) -> None:
    if given.clip_mode != "exact":
        if given.residual_to is not None:
            parser.error("--residual-to goes with --clip-mode exact only")
        return
    if bit_depth not in formats.EXACT_BIT_DEPTHS.get(form, ()):
        parser.error("--clip-mode exact goes with --int24, of wav or --flac, or --float32 only")
    if given.stem is not None:
        parser.error("--clip-mode exact takes all stems to make the song: leave --two-stems out")
    if given.rate == "input":
        parser.error("--clip-mode exact goes with the model's sample rate only")


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

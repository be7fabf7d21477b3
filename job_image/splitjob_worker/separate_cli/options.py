"""The command line: the options of `demucs` 4.1.0 with their meaning there, and ours beside them.

Nothing heavy is imported here, so that `--help` and a refusal come at once.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from splitjob import formats
from splitjob.resource import Format

if TYPE_CHECKING:  # it loads numpy
    from splitjob_worker.clipping import ClipMode

PROGRAM = "track-tree-audio separate"
DEFAULT_MODEL = "htdemucs"
DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"
OtherMethod = Literal["none", "add", "minus"]

_NO_SPLIT = (
    "the song is always cut into segments: a model gives the numbers that it was made for only on "
    "segments as long as it was trained on, and memory would grow with the song; --segment "
    "changes their length"
)
_SIGNATURE = (
    "a signature names an experiment of Demucs' own training program, which this is not; a model "
    "is chosen by its name, with -n, from --repo DIR where it is your own"
)


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
        complaint = formats.bit_depth_complaint(form, bit_depth)
        if complaint:
            option = "--float32" if bit_depth == 32 else "--int24"
            parser.error(f"{option} cannot be had here: {complaint}")
    if given.bitrate is not None:
        # The rate of a file that has the input's is known only later; 44.1 kHz is the usual one.
        complaint = formats.bitrate_complaint(form, given.bitrate, 44_100)
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


class _Refused(argparse.Action):
    """An option of Demucs that is not supported, and the reason."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, *, reason: str, nargs: int | str
    ) -> None:
        super().__init__(option_strings, dest, nargs=nargs, help=argparse.SUPPRESS)
        self._reason = reason

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        _values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        parser.error(f"{option_string} is not supported: {self._reason}")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [options] FILE [FILE ...]",
        description="Separate songs into stems. The options are those of the demucs command.",
        epilog="Exit status: 0 all done, 2 command line, 10 a file that cannot be separated, "
        "11 memory, 13 model, 14 device, 15 disk, 130 interrupted. docs/separate.md has the rest.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="songs, in any usual format")
    _add_model(parser.add_argument_group("model"))
    _add_way(parser.add_argument_group("way of separating"))
    _add_stems(parser.add_argument_group("stems"))
    _add_files(parser)
    _add_rest(parser)
    return parser


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-n", "--name", default=DEFAULT_MODEL, help=f"the model; default {DEFAULT_MODEL}"
    )
    group.add_argument(
        "--repo",
        type=Path,
        metavar="DIR",
        help="take the model from this folder: NAME.yaml and its .safetensors files",
    )
    group.add_argument("--list-models", action="store_true", help="list the models, and exit")
    group.add_argument("-s", "--sig", action=_Refused, nargs="?", reason=_SIGNATURE)


def _add_way(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-d",
        "--device",
        type=_device,
        default="auto",
        metavar="DEVICE",
        help="cpu, cuda, mps; default auto: cuda where torch finds one, else mps, else the CPU, "
        "and it is said which. One that is named and not there is an error",
    )
    group.add_argument(
        "--shifts",
        type=_at_least(0),
        default=1,
        metavar="N",
        help="average over N random shifts; each takes as long as the whole; default 1, 0: none",
    )
    group.add_argument(
        "--seed", type=int, default=0, help="of the shifts; the same one gives the same files"
    )
    group.add_argument(
        "--overlap", type=_overlap, default=0.25, help="of the segments; default 0.25"
    )
    splits = group.add_mutually_exclusive_group()
    splits.add_argument(
        "--segment",
        type=_seconds,
        metavar="SECONDS",
        help="length of the segments; shorter ones take less memory",
    )
    splits.add_argument("--no-split", action=_Refused, nargs=0, reason=_NO_SPLIT)
    group.add_argument(
        "--precision",
        choices=["ieee", "tf32", "fp16", "bf16"],
        default="ieee",
        help="of the calculation; default ieee, full fp32",
    )
    group.add_argument(
        "-j", "--jobs", type=int, default=0, metavar="N", help="ignored: all CPUs are used anyway"
    )


def _add_stems(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--two-stems",
        dest="stem",
        metavar="STEM",
        help="only this stem and the rest, e.g. vocals",
    )
    group.add_argument(
        "--other-method",
        choices=["none", "add", "minus"],
        default="add",
        help='the rest: "add", the sum of the other stems, no_STEM (default); "minus", the song '
        'minus the stem, minus_STEM, which needs fewer models of a bag; "none"',
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("separated"),
        metavar="DIR",
        help="output folder, with one for the model in it; default separated",
    )
    group.add_argument(
        "--filename",
        default=DEFAULT_TEMPLATE,
        metavar="TEMPLATE",
        help='names below that: "{track}", "{trackext}", "{stem}", "{ext}"; default '
        f'"{DEFAULT_TEMPLATE}"',
    )
    form = group.add_mutually_exclusive_group()
    for name in ("flac", "mp3", "m4a", "opus"):
        form.add_argument(
            f"--{name}",
            dest="format",
            action="store_const",
            const=name,
            default="wav",
            help=f"{name} files, not wav",
        )
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="24 bits, wav or flac")
    depth.add_argument("--float32", action="store_true", help="32 bits floating point, wav")
    group.add_argument(
        "--bitrate",
        "--mp3-bitrate",
        type=int,
        metavar="KBPS",
        help="of mp3 (default 320), m4a (256), opus (160)",
    )
    group.add_argument(
        "--mp3-preset",
        type=int,
        choices=range(2, 8),
        default=2,
        help="2 for the best mp3 (default) to 7 for the fastest",
    )
    group.add_argument(
        "--clip-mode",
        choices=["rescale", "clamp", "none", "shared", "tanh"],
        default="rescale",
        help="above full scale: turn the stem down (rescale, default), all stems alike (shared), "
        "cut off (clamp), bend (tanh), or nothing (none)",
    )
    group.add_argument(
        "--rate",
        choices=["model", "input"],
        default="model",
        help="sample rate of the files: the model's (default) or the input's",
    )


def _add_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON for each song on standard output"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say how long each step took")


def _device(text: str) -> str:
    if re.fullmatch(r"(cuda|mps):\d+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: which of several GPUs is chosen with CUDA_VISIBLE_DEVICES; say cuda here"
        )
    if text not in {"auto", "cpu", "cuda", "mps"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, cpu, cuda, mps")
    return text


def _at_least(least: int) -> Any:  # noqa: ANN401 - what argparse takes
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def _overlap(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 0.99:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 0.99")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 3600")
    return value

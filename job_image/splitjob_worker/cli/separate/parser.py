"""The command line: the options of `demucs` 4.1.0, unchanged, and our own."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

PROGRAM = "track-tree-audio separate"
DEFAULT_MODEL = "htdemucs"
DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"

_NO_SPLIT = (
    "the song is always cut into segments: a model gives the numbers that it was made for only on "
    "segments as long as it was trained on, and memory would grow with the song; --segment "
    "changes their length"
)
_SIGNATURE = (
    "a signature names an experiment of Demucs' own training program, which this is not; a model "
    "is chosen by its name, with -n, from --repo DIR where it is your own"
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
    _add_separation(parser.add_argument_group("way of separating"))
    _add_stems(parser.add_argument_group("stems"))
    _add_files(parser.add_argument_group("files"))
    _add_output(parser)
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


def _add_separation(group: argparse._ArgumentGroup) -> None:
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


def _add_files(group: argparse._ArgumentGroup) -> None:
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
    _add_format(group)
    group.add_argument(
        "--clip-mode",
        choices=["rescale", "clamp", "none", "shared", "tanh", "exact"],
        default="rescale",
        help="above full scale: turn the stem down (rescale, default), all stems alike (shared), "
        "cut off (clamp), bend (tanh), or nothing (none); exact: all alike, and they sum to the "
        "song to the last bit, with --int24 or --float32",
    )
    group.add_argument(
        "--residual-to",
        metavar="STEM",
        help="with --clip-mode exact: the stem that takes what the model leaves over, or residual "
        "for one more; default other where the model has it, else residual",
    )
    group.add_argument(
        "--rate",
        choices=["model", "input"],
        default="model",
        help="sample rate of the files: the model's (default) or the input's",
    )


def _add_format(group: argparse._ArgumentGroup) -> None:
    formats = group.add_mutually_exclusive_group()
    for name in ("flac", "mp3", "m4a", "opus"):
        formats.add_argument(
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


def _add_output(parser: argparse.ArgumentParser) -> None:
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


def _at_least(least: int) -> Callable[[str], int]:
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

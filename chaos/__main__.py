"""`python -m chaos [--seed N] [--minutes M] [--storms K]`: storms over clusters of this machine."""

import argparse
import secrets
import sys
from dataclasses import replace

from chaos.storm import Weather, short, storm


def main() -> int:
    """Let storms pass; returns 1 where one of them has found something wrong."""
    options = _options()
    wrong = 0
    for seed in range(options.seed, options.seed + options.storms):
        report = storm(_weather(options, seed), _say)
        print(report, flush=True)
        wrong += bool(report.found)
        if report.found:
            print(f"again: .venv/bin/python -m chaos {_arguments(options, seed)}", flush=True)
    return int(wrong > 0)


def _weather(options: argparse.Namespace, seed: int) -> Weather:
    if options.short:
        return replace(short(seed), real=options.real)
    every, seconds = options.song_every, options.minutes * 60
    return Weather(seed, seconds, song_every=every, real=options.real)


def _arguments(options: argparse.Namespace, seed: int) -> str:
    long = f"--minutes {options.minutes:g} --song-every {options.song_every:g}"
    return f"--seed {seed} {'--short' if options.short else long}{' --real' * options.real}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of everything that is drawn")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long a storm is")
    parser.add_argument("--song-every", type=float, default=3.0, help="seconds, on average")
    parser.add_argument("--short", action="store_true", help="the storm of the tests")
    parser.add_argument("--real", action="store_true", help="separate by a model, not a stand-in")
    parser.add_argument("--storms", type=int, default=1, help="one after the other, seeds upwards")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def _say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

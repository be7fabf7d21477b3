"""Broken audio files, made by seeded mutation of small valid ones, and the decoder on them.

`python -m bench.broken_audio COUNT` decodes the first COUNT files of the corpus, each in a
process of its own as the worker does, and prints a `Summary` as JSON. With `--keep FOLDER` it
writes the files of these numbers instead, to look into.
"""

import argparse
import json
import logging
import os
import random
import resource
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

from bench.audio_files import tones, write_audio, write_video
from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.audio import MAX_MAGNITUDE, AudioLimits
from splitjob_worker.source.decode import decode

LIMITS = AudioLimits(rate=44100, max_seconds=60, cpu_seconds=30)
REFUSALS = {
    ErrorCode.AUDIO_UNREADABLE,
    ErrorCode.AUDIO_UNSUPPORTED,
    ErrorCode.AUDIO_TOO_SHORT,
    ErrorCode.AUDIO_TOO_LONG,
}
HEADER_BYTES = 512
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

# Suffix, codec, container, rate: one of each container that the decoder names and FFmpeg writes.
WRITTEN = (
    ("wav", "pcm_s16le", "wav", 44100),
    ("wav", "pcm_f32le", "wav", 44100),
    ("wav", "adpcm_ms", "wav", 22050),
    ("w64", "pcm_s24le", "w64", 44100),
    ("aiff", "pcm_s16be", "aiff", 44100),
    ("au", "pcm_s16be", "au", 44100),
    ("caf", "alac", "caf", 44100),
    ("voc", "pcm_u8", "voc", 22050),
    ("flac", "flac", "flac", 44100),
    ("mp3", "libmp3lame", "mp3", 44100),
    ("aac", "aac", "adts", 44100),
    ("m4a", "aac", "ipod", 44100),
    ("m4a", "alac", "ipod", 44100),
    ("mov", "pcm_s16le", "mov", 44100),
    ("3gp", "libopencore_amrnb", "3gp", 8000),
    ("ac3", "ac3", "ac3", 48000),
    ("eac3", "eac3", "eac3", 48000),
    ("ogg", "vorbis", "ogg", 44100),
    ("opus", "libopus", "ogg", 48000),
    ("oga", "flac", "ogg", 44100),
    ("webm", "libopus", "webm", 48000),
    ("mka", "flac", "matroska", 44100),
    ("wma", "wmav2", "asf", 44100),
    ("amr", "libopencore_amrnb", "amr", 8000),
    ("wv", "wavpack", "wv", 44100),
    ("tta", "tta", "tta", 44100),
    ("avi", "libmp3lame", "avi", 44100),
    ("flv", "libmp3lame", "flv", 44100),
    ("mpg", "mp2", "vob", 44100),
    ("ts", "aac", "mpegts", 44100),
    ("rm", "real_144", "rm", 8000),
    ("wsaud", "adpcm_ima_ws", "wsaud", 22050),
)


@dataclass(frozen=True)
class Seed:
    """A small file to start from.

    Attributes:
        name: codec and suffix.
        suffix: of a file of this kind.
        content: the bytes.
        valid: whether it can be decoded as it is.
    """

    name: str
    suffix: str
    content: bytes
    valid: bool = True


@dataclass(frozen=True)
class Broken:
    """One file of the corpus.

    Attributes:
        number: its place in the corpus.
        story: seed and mutations.
        suffix: of the file's name.
        content: the bytes.
        unbroken: whether only the name is wrong, if anything.
    """

    number: int
    story: str
    suffix: str
    content: bytes
    unbroken: bool = False


@dataclass
class Summary:
    """What became of a corpus.

    Attributes:
        files: how many.
        outcomes: `decoded`, or the code of the failure, to how many.
        died: files at which a signal ended the decoder's process.
        wrong: what must not be, one line each.
        slowest_seconds: of one file, wall.
        cpu_seconds: of all decoders.
        peak_bytes: the largest resident memory of a decoder.
    """

    files: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    died: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_seconds: float = 0
    cpu_seconds: float = 0
    peak_bytes: int = 0


def seeds(folder: Path) -> list[Seed]:
    """Return a small valid file for each container; where FFmpeg cannot write one, a header."""
    made = [_written(folder, *row) for row in WRITTEN]
    made += [*_joined(made), *_with_holes(folder)]
    return [*made, Seed("dsf", "dsf", _dsf()), Seed("8svx", "iff", _8svx()), *_only_begun()]


JOINED = (
    ("alac in caf", "caf"),
    ("pcm_s24le in w64", "w64"),
    ("wavpack in wv", "wv"),
    ("tta in tta", "tta"),
    ("wmav2 in asf", "wma"),
    ("flac in matroska", "mkv"),
    ("flac in flac", "flac"),
    ("libopencore_amrnb in amr", "amr"),
)


def _joined(made: Sequence[Seed]) -> list[Seed]:
    """Files that are read in parts: chained, behind a tag, or with chunks behind the sound."""
    by_name = {seed.name: seed.content for seed in made}
    vorbis, opus = by_name["vorbis in ogg"], by_name["libopus in ogg"]
    tag = b"ID3\4\0\0" + bytes([0, 0, 16, 0]) + bytes(2048)
    sound = by_name["pcm_s16le in wav"]
    place = sound.index(b"data") + 4
    behind = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"Take"
    voc = by_name["pcm_u8 in voc"]
    silence = b"\3\3\0\0" + struct.pack("<HB", 1000, 100)
    joined = [(name, suffix, by_name[name]) for name, suffix in JOINED]
    return [
        *(Seed(f"two files, {name}", suffix, one + one) for name, suffix, one in joined),
        Seed("silence in voc", "voc", voc[:-1] + silence + voc[-1:]),
        Seed("chained ogg", "ogg", vorbis + opus + vorbis),
        Seed("flac behind a tag", "flac", tag + by_name["flac in flac"]),
        Seed("wav of no size", "wav", sound[:place] + bytes(4) + sound[place + 4 :] + behind),
    ]


def _with_holes(folder: Path) -> Iterator[Seed]:
    """Videos whose sound begins late and has a hole: what the time stamps say is believed."""
    piece = tones(48000, 0.2, 2)
    for suffix, codec in (("mkv", "libopus"), ("mp4", "aac"), ("ts", "aac")):
        path = write_video(
            folder / f"seed.{suffix}", [(0.1, piece), (0.5, piece)], codec=codec, picture=(0, 0.4)
        )
        yield Seed(f"holes in {suffix}", suffix, path.read_bytes())


def _written(folder: Path, suffix: str, codec: str, container: str, rate: int) -> Seed:
    layout = "mono" if rate == 8000 else "stereo"
    path = write_audio(
        folder / f"seed.{suffix}",
        tones(rate, 0.4, 1 if layout == "mono" else 2),
        rate,
        layout,
        codec,
        container,
        bit_rate=128_000 if codec == "wmav2" else None,
        tags={"title": "A title, größer", "artist": "Somebody"},
    )
    return Seed(f"{codec} in {container}", suffix, path.read_bytes())


def _dsf() -> bytes:
    """A fifth of a second of silence as a DSD stream (Sony's DSF specification 1.01)."""
    block, blocks, channels = 4096, 18, 2
    data = bytes([0x69]) * block * blocks * channels
    samples = block * blocks * 8
    description = struct.pack("<IIIIIIQII", 1, 0, 2, channels, 2822400, 1, samples, block, 0)
    chunks = b"fmt " + struct.pack("<Q", 52) + description
    chunks += b"data" + struct.pack("<Q", 12 + len(data)) + data
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(chunks), 0) + chunks


def _8svx() -> bytes:
    """An IFF file of 8 bit samples (Electronic Arts' 8SVX)."""
    samples: bytes = (tones(8000, 0.4, 1)[0] * 127).astype("i1").tobytes()
    voice = struct.pack(">IIIHBBI", len(samples), 0, 0, 8000, 1, 0, 0x10000)
    chunks = b"VHDR" + struct.pack(">I", len(voice)) + voice
    chunks += b"BODY" + struct.pack(">I", len(samples)) + samples
    return b"FORM" + struct.pack(">I", 4 + len(chunks)) + b"8SVX" + chunks


def _only_begun() -> list[Seed]:
    """Files of the containers that FFmpeg only reads: their first bytes, and noise behind them."""
    noise = random.Random("noise").randbytes(6000)
    ape = b"MAC " + struct.pack("<HHIIIIII", 3990, 0, 52, 24, 8, 0, 4096, 0) + bytes(16)
    ape += struct.pack("<HHIIIHHIII", 2000, 0, 73728, 9000, 1, 16, 2, 44100, 84, 0)
    dtshd = b"DTSHDHDR" + struct.pack(">Q", 16) + bytes(16) + b"STRMDATA" + struct.pack(">Q", 4000)
    dts = bytes.fromhex("7ffe8001fc3c3ff0b5e0013800") * 4
    begun = {
        "ape": ape,
        "mpc": b"MP+\x07" + struct.pack("<II", 20, 0x40400000),
        "mpc8": b"MPCKSH\x0f\0\0\0\0\x08\xff\0\x1b\x47",
        "tak": b"tBaK\x01\x0d\0\0",
        "thd": bytes.fromhex("80780000f8726fba00"),
        "dts": dts,
        "dtshd": dtshd + dts,
    }
    return [
        Seed(f"{suffix}, begun", suffix, start + noise, valid=False)
        for suffix, start in begun.items()
    ]


Mutation = Callable[[random.Random, bytearray, Sequence[Seed]], None]


def _place(chance: random.Random, content: bytearray) -> int:
    """Return a place in a file; every other one lies in its header."""
    near = min(len(content), HEADER_BYTES) if chance.random() < 0.5 else len(content)
    return chance.randrange(max(near, 1))


def _flip_bits(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    for _ in range(chance.choice((1, 2, 8, 64))):
        content[_place(chance, content)] ^= 1 << chance.randrange(8)


def _set_field(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    """Write extreme or random numbers into the header, as a length or a rate may stand there."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = chance.choice((1, 2, 4, 8))
        order: Literal["little", "big"] = chance.choice(("little", "big"))
        value = chance.choice((*EXTREMES, chance.getrandbits(8 * size))) % (1 << 8 * size)
        start = chance.randrange(max(min(len(content), HEADER_BYTES) - size, 1))
        content[start : start + size] = value.to_bytes(size, order)


def _truncate(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    del content[_place(chance, content) :]


def _cut_out(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    start = _place(chance, content)
    del content[start : start + chance.choice((1, 4, 100, 5000))]


def _repeat(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    start, times = _place(chance, content), chance.choice((1, 9))
    content[start:start] = content[start : start + chance.choice((4, 100, 5000))] * times


def _splice(chance: random.Random, content: bytearray, all_seeds: Sequence[Seed]) -> None:
    """Put a piece of another file in, over what is there or between."""
    other = chance.choice(all_seeds).content
    begin, length = chance.randrange(len(other)), chance.choice((8, 64, 2000, 20_000))
    start = _place(chance, content)
    stop = start + (length if chance.random() < 0.5 else 0)
    content[start:stop] = other[begin : begin + length]


def _noise(chance: random.Random, content: bytearray, _seeds: Sequence[Seed]) -> None:
    start, length = _place(chance, content), chance.choice((16, 500, 5000))
    content[start : start + length] = chance.randbytes(length)


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits, _set_field, _set_field, _truncate, _cut_out, _repeat, _splice, _noise,
)  # fmt: skip


def corpus(all_seeds: Sequence[Seed]) -> Iterator[Broken]:
    """Yield broken files without end: every kind of file in turn, the same ones every time."""
    number = 0
    while True:
        for seed in all_seeds:
            chance = random.Random(number)
            content, story = bytearray(seed.content), [seed.name]
            for mutate in chance.choices(MUTATIONS, k=chance.choice((0, 1, 1, 2, 3))):
                if content:
                    mutate(chance, content, all_seeds)
                    story.append(mutate.__name__.strip("_"))
            suffix = chance.choice(all_seeds).suffix if chance.random() < 0.3 else seed.suffix
            told = f"{number}: {', '.join(story)}, as .{suffix}"
            unbroken = seed.valid and len(story) == 1
            yield Broken(number, told, suffix, bytes(content), unbroken)
            number += 1


def run(files: Iterator[Broken], count: int, folder: Path) -> Summary:
    """Decode `count` files in an empty folder, and look after each for what it left behind."""
    summary = Summary()
    before = _open_files()
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _, broken in zip(range(count), files, strict=False):
        started = time.monotonic()
        _decode_one(broken, folder, summary)
        summary.slowest_seconds = max(summary.slowest_seconds, time.monotonic() - started)
        summary.files += 1
        if psutil.Process().children(recursive=True):
            summary.wrong.append(f"{broken.story}: a process is left")
        if _open_files() != before:
            summary.wrong.append(f"{broken.story}: a file is left open")
        if left := {path.name for path in folder.iterdir()} - {"spool", "decoder.json"}:
            summary.wrong.append(f"{broken.story}: {sorted(left)} were left")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary.cpu_seconds = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
    summary.peak_bytes = used.ru_maxrss * (1024 if os.uname().sysname == "Linux" else 1)
    return summary


def _decode_one(broken: Broken, folder: Path, summary: Summary) -> None:
    source, spool = folder / f"source.{broken.suffix}", folder / "spool"
    source.write_bytes(broken.content)
    try:
        audio, _ = decode(source, spool, LIMITS)
    except Failure as failure:
        outcome = str(failure.code)
        if failure.code not in REFUSALS:
            summary.wrong.append(f"{broken.story}: {failure.code}: {failure.message}")
        if failure.message.startswith("the decoder ended with status"):
            summary.wrong.append(f"{broken.story}: {failure.message}")  # a defect, not a crash
        elif failure.message.startswith("the decoder "):
            summary.died.append(f"{broken.story}: {failure.message}")
    except Exception as error:  # noqa: BLE001 - whatever comes out here is what is looked for
        outcome = type(error).__name__
        summary.wrong.append(f"{broken.story}: {error!r}")
    else:
        outcome = "decoded"
        for block in audio.blocks():
            if not np.isfinite(block).all() or np.abs(block).max() > MAX_MAGNITUDE * 32:
                summary.wrong.append(f"{broken.story}: samples that are no sound")
                break
    if broken.unbroken and outcome != "decoded":
        summary.wrong.append(f"{broken.story}: {outcome}, though nothing is wrong with its content")
    summary.outcomes[outcome] = summary.outcomes.get(outcome, 0) + 1
    source.unlink()


def _open_files() -> int:
    return psutil.Process().num_fds()


def main() -> None:
    """Run the corpus, or keep some files of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.broken_audio", description=__doc__)
    parser.add_argument("numbers", type=int, nargs="+", metavar="COUNT")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # each of them says that its source is damaged
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
        files = corpus(seeds(Path(made)))
        if arguments.keep is None:
            print(json.dumps(asdict(run(files, arguments.numbers[0], Path(scratch)))))
            return
        for _, broken in zip(range(max(arguments.numbers) + 1), files, strict=False):
            if broken.number in arguments.numbers:
                print(broken.story)
                (arguments.keep / f"{broken.number}.{broken.suffix}").write_bytes(broken.content)


if __name__ == "__main__":
    main()

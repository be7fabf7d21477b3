"""Files decoded as the worker does it: in a process of its own."""

from pathlib import Path

import pytest

from bench.audio_files import Samples
from splitjob.errors import Failure
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.source.decode import decode
from splitjob_worker.source.decoder import decode_file
from splitjob_worker.spool import Spool

LIMITS = AudioLimits(rate=44100, max_seconds=20)


def decoded(source: Path) -> tuple[Samples, Decoded]:
    """Decode a file; return its samples, shape (frames, 2), and what was found."""
    spool, found = decode(source, source.with_suffix(".f32"), LIMITS)
    with spool.reader() as reader:
        return reader.read(0, spool.frames), found


def decoded_here(source: Path, limits: AudioLimits = LIMITS) -> tuple[Samples, Decoded]:
    """Decode a file that is trusted, without a process for it; as `decoded`."""
    path = source.with_suffix(".f32")
    found = decode_file(source, path, limits)
    spool = Spool(path, found.frames)
    with spool.reader() as reader:
        return reader.read(0, spool.frames), found


def decoded_bytes(folder: Path, content: bytes) -> tuple[Samples, Decoded]:
    """Decode a file of these bytes, as `decoded_here`."""
    source = folder / "source"
    source.write_bytes(content)
    return decoded_here(source)


def refusal_of_bytes(folder: Path, content: bytes) -> Failure:
    """Return why a file of these bytes cannot be decoded."""
    with pytest.raises(Failure) as caught:
        decoded_bytes(folder, content)
    return caught.value


def refused(source: Path) -> Failure:
    """Return why a file cannot be decoded."""
    with pytest.raises(Failure) as caught:
        decode(source, source.with_suffix(".f32"), LIMITS)
    return caught.value

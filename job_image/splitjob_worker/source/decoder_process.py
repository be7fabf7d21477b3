"""The decoder: a process of its own that turns one audio file into a spool.

`python -P -m splitjob_worker.source.decoder_process SOURCE SPOOL LIMITS` with LIMITS as JSON. It
prints one line of JSON: what it found, or a failure's code and message. Whatever a crafted file
does to FFmpeg happens here, with a memory limit, a CPU limit and an empty environment, and ends
with it.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.machine import forbid_new_privileges, hide_from_children
from splitjob_worker.source import sandbox
from splitjob_worker.source.audio import Decoded, Limits
from splitjob_worker.stems import tags

# FFmpeg's names of the containers that are read. A playlist, a concatenation script or a network
# stream is not among them, so that no file can make the decoder open another one.
CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd", "eac3",
    "flac", "flv", "iff", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpc", "mpc8", "mpeg",
    "mpegts", "ogg", "rm", "tak", "truehd", "tta", "voc", "w64", "wav", "wsaud", "wv",
)  # fmt: skip
# What a source often is instead of audio, by its first bytes. FFmpeg would find the mp3 in an
# archive that stores one; a caller is better told that it is an archive.
OTHER_FILES = {
    b"pk\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"%pdf": "a PDF document",
    b"<": "a web page or an XML document",
    b"{": "a JSON document",
}


def main(argv: list[str]) -> int:
    """Decode as the command line says; print one line of JSON."""
    source, spool, limits = Path(argv[0]), Path(argv[1]), Limits(**json.loads(argv[2]))
    _confine(source, spool, limits)
    try:
        answer = _answer(decode_file(source, spool, limits))
    except Failure as failure:
        answer = {"code": failure.code, "message": failure.message}
    except MemoryError:
        answer = {
            "code": ErrorCode.AUDIO_UNREADABLE,
            "message": "the audio file asks for more memory than any song needs",
        }
    print(json.dumps(answer), flush=True)
    return 0


def _answer(found: Decoded) -> dict[str, Any]:
    return {**asdict(found), "normalisation": astuple(found.normalisation)}


def decode_file(source: Path, spool: Path, limits: Limits) -> Decoded:
    """Decode one file into a spool at the wanted rate, in stereo.

    Args:
        source: the file; its name says nothing about its format.
        spool: the spool to write.
        limits: rate and length.

    Raises:
        Failure: `audio_unreadable`, `audio_unsupported`, `audio_too_short`, `audio_too_long`,
            `worker_storage`.
    """
    from splitjob_worker.source.conversion import Converter  # noqa: PLC0415 - after the limits are set
    from splitjob_worker.spool import SpoolWriter  # noqa: PLC0415

    _refuse_other_files(source)
    damaged = whole = 0
    said: dict[str, object] = {}
    with SpoolWriter(spool) as writer:
        converter = Converter(writer, limits)
        for frame in _frames(source, said):
            if frame is None:
                damaged += 1
            else:
                whole += 1
                converter.feed(frame)
        converter.finish()
    if damaged > whole:
        raise Failure(ErrorCode.AUDIO_UNREADABLE, "most of the audio in the file is damaged")
    return converter.decoded(damaged, tags.cleaned(said))


def _refuse_other_files(source: Path) -> None:
    with source.open("rb") as file:
        start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        raise Failure(ErrorCode.AUDIO_UNREADABLE, "the source is empty")
    for magic, kind in OTHER_FILES.items():
        if start.startswith(magic):
            raise Failure(ErrorCode.AUDIO_UNREADABLE, f"the source is {kind}, not an audio file")


def _frames(source: Path, said: dict[str, object]) -> Iterator[Any]:
    """Yield the audio frames of a file, None for each packet that cannot be decoded.

    A file that breaks off in the middle gives what it holds up to there.

    Args:
        source: the file.
        said: gets the tags of the file: those of its audio (Ogg has them there) and its own.
    """
    import av  # noqa: PLC0415

    from splitjob_worker.source import tracks  # noqa: PLC0415

    av.logging.set_level(None)
    try:
        with av.open(
            f"file:{source}",
            metadata_errors="ignore",
            options={"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)},
        ) as container:
            track = tracks.song_of(container)
            if track is None:
                raise Failure(ErrorCode.AUDIO_UNREADABLE, "the file has no audio track")
            said.update({**track.metadata, **container.metadata})
            yield from tracks.without_padding(_decoded(container, track), track)
    except av.error.FFmpegError as error:
        raise _failure_of(error) from None


def _decoded(container: Any, track: Any) -> Iterator[Any]:  # noqa: ANN401 - av has no types here
    import av  # noqa: PLC0415

    begun = False
    try:
        for packet in container.demux(track):
            try:
                for frame in packet.decode():
                    yield frame
                    begun = True
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                yield None
    except av.error.FFmpegError as error:
        if not begun or isinstance(error, MemoryError):
            raise
        yield None


def _failure_of(error: Exception) -> Failure:
    import av  # noqa: PLC0415

    if isinstance(error, av.error.DecoderNotFoundError):
        return Failure(ErrorCode.AUDIO_UNSUPPORTED, "the audio is in a codec that is not supported")
    if isinstance(error, MemoryError):
        return Failure(
            ErrorCode.AUDIO_UNREADABLE, "the audio file asks for more memory than any song needs"
        )
    return Failure(
        ErrorCode.AUDIO_UNREADABLE,
        "the source is not an audio file that can be read: none of the known formats "
        "(wav, flac, mp3, m4a, ogg, opus, aiff and others) fits its content",
    )


def _confine(source: Path, spool: Path, limits: Limits) -> None:
    """Take away what a decoder does not need, before it touches the file."""
    forbid_new_privileges()
    hide_from_children()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would reserve memory for a thread per core
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds, grace=5)  # SIGXCPU first: it tells why
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, (limits.max_seconds + 10) * limits.rate * 8)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spool.touch()
    sandbox.restrict(readable=[source], writable=[spool])


def _lower(kind: int, limit: int, grace: int = 0) -> None:
    """Set a limit of this process, the hard one higher by `grace`; never above what it had."""
    _soft, hard = resource.getrlimit(kind)
    ceiling = limit + grace if hard == resource.RLIM_INFINITY else min(limit + grace, hard)
    resource.setrlimit(kind, (min(limit, ceiling), ceiling))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""From an audio file to a spool: FFmpeg, one packet after the other.

Runs in the decoder's process, or in one whose file is trusted.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source import adts, avi, lengths, packets, tags, tracks
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.source.content import EditedFile
from splitjob_worker.source.conversion import Converter
from splitjob_worker.source.parts import Part, parts_of
from splitjob_worker.source.timeline import Silence, Timeline
from splitjob_worker.spool import SpoolWriter

# FFmpeg's names of the containers that are read. A playlist, a concatenation script or a network
# stream is not among them, so that no file can make the decoder open another one.
CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd", "eac3",
    "flac", "flv", "iff", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpc", "mpc8", "mpeg",
    "mpegts", "ogg", "rm", "tak", "truehd", "tta", "voc", "w64", "wav", "wsaud", "wv",
)  # fmt: skip
# The last frame of ALAC is as short as it is to be, and FFmpeg cuts it once more in this container.
_CUT_TWICE = ("caf", "alac")
# What a source often is instead of audio, by its first bytes. FFmpeg would find the mp3 in an
# archive that stores one; a caller is better served by being told that it is an archive.
OTHER_FILES = {
    b"pk\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"%pdf": "a PDF document",
    b"<": "a web page or an XML document",
    b"{": "a JSON document",
}


def decode_file(source: Path, spool: Path, limits: AudioLimits) -> Decoded:
    """Decode one file into a spool at the wanted rate, in stereo.

    Args:
        source: the file; its name says nothing about its format.
        spool: the spool to write.
        limits: rate, length, and how much of it may be lost.

    Raises:
        Failure: `audio_unreadable`, `audio_unsupported`, `audio_too_short`, `audio_too_long`,
            `worker_storage`.
    """
    parts = parts_of(source)
    _refuse_other_files(source, parts)
    content = _Content(source, parts, limits.max_seconds)
    with SpoolWriter(spool) as writer:
        converter = Converter(writer, limits)
        for piece in content.pieces():
            if isinstance(piece, Silence):
                converter.feed_silence(piece.seconds)
            else:
                converter.feed(piece)
        converter.finish()
    damaged = content.damaged + float(converter.damaged_seconds)
    _check_losses(damaged, content.missing, float(converter.seconds), limits.max_lost_percent)
    return converter.decoded(damaged, content.missing, tags.cleaned(content.tags))


def _check_losses(damaged: float, missing: float, whole: float, percent: int) -> None:
    """Refuse a file of which more is lost than is allowed, or that is mostly damage."""
    if damaged > whole / 2:
        raise Failure(ErrorCode.AUDIO_UNREADABLE, "most of the audio in the file is damaged")
    if damaged + missing > (whole + missing) * percent / 100:
        raise Failure(
            ErrorCode.AUDIO_UNREADABLE,
            f"of {whole + missing:.1f} s of audio in the file {damaged:.1f} s are "
            f"damaged and {missing:.1f} s missing: more than {percent} %, the most that "
            "this installation accepts (MAX_LOST_PERCENT)",
        )


def _refuse_other_files(source: Path, parts: list[Part]) -> None:
    if not parts:
        raise Failure(ErrorCode.AUDIO_UNREADABLE, "the source is empty")
    with source.open("rb") as file:
        file.seek(parts[0].start)
        start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, kind in OTHER_FILES.items():
        if start.startswith(magic):
            raise Failure(ErrorCode.AUDIO_UNREADABLE, f"the source is {kind}, not an audio file")


class _Content:
    """What a file holds: its sound, in order, and what there should be more of.

    Args:
        source: the file.
        parts: of it that hold sound.
        longest: seconds of sound that may come of it.

    Attributes:
        tags: of the first part.
        damaged: seconds for which there is silence, up to now.
        missing: seconds that the parts up to now do not have.
    """

    def __init__(self, source: Path, parts: list[Part], longest: int) -> None:
        self.tags: dict[str, object] = {}
        self.damaged = self.missing = 0.0
        self._source, self._parts, self._longest = source, parts, longest

    def pieces(self) -> Iterator[av.AudioFrame | Silence]:
        """Yield frames and the silence between them; a truncated file gives what it holds."""
        av.logging.set_level(None)
        for number, part in enumerate(self._parts, 1):
            try:
                yield from self._pieces_counting_damage(part)
            except av.error.FFmpegError as error:
                raise _failure_of(error, number, len(self._parts)) from None

    def _pieces_counting_damage(self, part: Part) -> Iterator[av.AudioFrame | Silence]:
        with _opened(self._source, part) as container:
            track = tracks.song_of(container)
            if track is None:
                raise Failure(ErrorCode.AUDIO_UNREADABLE, "the file has no audio track")
            if track.codec_context is None:
                raise _unsupported()
            if tracks.is_encrypted(track):
                raise Failure(ErrorCode.AUDIO_UNSUPPORTED, "the audio is protected against copying")
            if not self.tags:
                self.tags.update(_tag_in_front(self._source, part, container.format.name))
                self.tags.update({**track.metadata, **container.metadata})
            timeline = Timeline(container, track, self._longest, part.granules)
            for piece in timeline.placed(self._frames_of(part, container, track)):
                if isinstance(piece, Silence):
                    self.damaged += piece.damaged
                yield piece
            missing = lengths.missing(self._source, part, container, track, timeline)
            self.missing += max(missing, timeline.behind)

    def _frames_of(
        self, part: Part, container: InputContainer, track: AudioStream
    ) -> Iterator[av.AudioFrame | packets.Lost]:
        if (container.format.name, track.codec_context.name) == _CUT_TWICE:
            track.codec_context.options = {"flags2": "+skip_manual"}
        if container.format.name == adts.CONTAINER:
            return adts.decoded(self._source, part, track)
        if container.format.name == avi.CONTAINER:
            index = avi.index_of(self._source, part, track.index)
            return packets.decoded(container, track, index.passed_over if index else None)
        return tracks.without_padding(packets.decoded(container, track), track)


def _opened(source: Path, part: Part, container: str | None = None) -> InputContainer:
    file: Any = f"subfile,,start,{part.start},end,{part.end},,:file:{source}"
    if part.edits:
        file = EditedFile(source, part.start, part.end, part.edits)
    opened: InputContainer = av.open(
        file,
        format=container,
        metadata_errors="ignore",
        options={
            "protocol_whitelist": "file,subfile",
            "format_whitelist": ",".join(CONTAINERS),
        },
    )
    return opened


def _tag_in_front(source: Path, part: Part, names: str) -> dict[str, str]:
    """Return what the tag in front of a part holds; FFmpeg reads it where it knows the format."""
    if not part.tag:
        return {}
    whole = Part(part.start - part.tag, part.end)
    with suppress(av.error.FFmpegError), _opened(source, whole, names.partition(",")[0]) as tagged:
        return dict(tagged.metadata)
    return {}


def _unsupported() -> Failure:
    return Failure(ErrorCode.AUDIO_UNSUPPORTED, "the audio is in a codec that is not supported")


def _failure_of(error: Exception, number: int, of: int) -> Failure:
    """Return what is told of a file whose part, by its number, cannot be read."""
    if isinstance(error, av.error.DecoderNotFoundError):
        return _unsupported()
    if isinstance(error, MemoryError):
        return Failure(
            ErrorCode.AUDIO_UNREADABLE, "the audio file asks for more memory than any song needs"
        )
    if number > 1:
        return Failure(
            ErrorCode.AUDIO_UNREADABLE,
            f"the file is {of} recordings one behind the other, and number {number} cannot be read",
        )
    return Failure(
        ErrorCode.AUDIO_UNREADABLE,
        "the source is not an audio file that can be read: none of the known formats "
        "(wav, flac, mp3, m4a, ogg, opus, aiff and others) fits its content",
    )

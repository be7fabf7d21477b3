"""The packets of a track, one after the other, also past those that are damaged."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

# Streams of nothing but frames: rubbish among them is one packet that says nothing of its length.
_ELEMENTARY = {"mp3", "aac", "ac3", "eac3"}


class Lost(NamedTuple):
    """A packet that could not be decoded.

    Attributes:
        seconds: of sound that it stood for.
        counts: whether it is sound where nothing but such packets follows; rubbish behind a stream
            of frames is more often a tag.
        silent: whether the file itself says that there is nothing to be heard.
    """

    seconds: float
    counts: bool = True
    silent: bool = False


def decoded(
    container: InputContainer,
    track: AudioStream,
    passed_over: Callable[[int | None, int], Iterable[Lost]] | None = None,
) -> Iterator[av.AudioFrame | Lost]:
    """Yield the frames of a track, and what was lost between them.

    Args:
        container: of the track.
        track: that is decoded.
        passed_over: is told where each packet lies, None where that is not known, and its size, 0
            behind the last one; returns what lies before it and is no packet.

    Raises:
        av.error.FFmpegError: not one packet could be read, or memory ran out.
    """
    lengths = _Lengths(container, track)
    for packet in _read(container, track):
        if passed_over is not None:
            yield from passed_over(packet.pos, packet.size)
        try:
            yield from packet.decode()
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            yield lengths.lost(packet)
        else:
            lengths.add(packet)


def _read(container: InputContainer, track: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """Read on behind damage, as long as there is something between one error and the next."""
    begun = went_on = False
    while True:
        try:
            for packet in container.demux(track):
                begun = went_on = True
                yield packet
        except av.error.FFmpegError as error:
            if not begun or isinstance(error, MemoryError):
                raise
            if not went_on:
                return
            went_on = False
        else:
            return


class _Lengths:
    """How long packets are, by themselves or by what as many bytes of sound last.

    Args:
        container: of the track.
        track: of the packets.
    """

    def __init__(self, container: InputContainer, track: AudioStream) -> None:
        self._elementary = container.format.name in _ELEMENTARY
        self._time_base = float(track.time_base or 0)
        self._bytes = 0
        self._seconds = 0.0

    def add(self, packet: "Packet[AudioStream]") -> None:
        """Learn from a packet that was decoded."""
        self._bytes += packet.size
        self._seconds += self._stated(packet)

    def lost(self, packet: "Packet[AudioStream]") -> Lost:
        """Return how much sound a packet stood for that was not decoded."""
        seconds = self._stated(packet)
        if not self._elementary:
            return Lost(seconds)
        if seconds and self._bytes:
            frames = round(self._seconds * packet.size / self._bytes / seconds)
            seconds *= max(frames, 1)
        return Lost(seconds, counts=False)

    def _stated(self, packet: "Packet[AudioStream]") -> float:
        return (packet.duration or 0) * self._time_base

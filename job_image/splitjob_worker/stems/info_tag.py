"""The Info tag of an MP3 file, which LAME's library does not write.

Without the tag, a player neither knows the length nor skips the encoder's delay of 576 samples (and
the decoder's 529), so that a stem would start late. Strict players do neither where the tag's
checksums are wrong. Format: Xing header with LAME's extension,
http://gabriel.mp3-tech.org/mp3infotag.html.
"""

import struct
from dataclasses import dataclass

from splitjob_worker.stems import crc16

ENCODER_DELAY = 576
BITRATES = {  # kbit/s by header index, layer III
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_TAG_BYTES = 156  # Xing's 120 and LAME's 36
_STEREO_MODES = (1, 3)  # of the tag, by those of a frame: stereo, joint stereo
_RATE_CLASSES = {44100: 1, 48000: 2}  # of the tag; 0 for all below


@dataclass(frozen=True)
class FrameHeader:
    """The first four bytes of a frame, layer III.

    Attributes:
        raw: the bytes.
        version: 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5.
        rate_index, bitrate_index: into `RATES` and `BITRATES`.
        padding: bytes more than the length that follows from the bit rate.
    """

    raw: bytes
    version: int
    rate_index: int
    bitrate_index: int
    padding: int

    @classmethod
    def parse(cls, data: bytes) -> "FrameHeader":
        """Return the header that data begins with."""
        version, rate = data[1] >> 3 & 3, data[2] >> 2 & 3
        return cls(data[:4], version, rate, data[2] >> 4, data[2] >> 1 & 1)

    @property
    def rate(self) -> int:
        """The sample rate in Hz."""
        return RATES[self.version][self.rate_index]

    @property
    def bitrate(self) -> int:
        """The bit rate in kbit/s."""
        return self._bitrates[self.bitrate_index]

    @property
    def samples(self) -> int:
        """The samples per channel of the frame."""
        return 1152 if self.version == 3 else 576

    @property
    def mode(self) -> int:
        """The channel mode; 0: stereo, 1: joint stereo."""
        return self.raw[3] >> 6

    @property
    def side_info(self) -> int:
        """The bytes of a stereo frame between header and sound."""
        return 32 if self.version == 3 else 17

    @property
    def length(self) -> int:
        """The bytes of the frame."""
        return self.length_at(self.bitrate_index) + self.padding

    def length_at(self, bitrate_index: int) -> int:
        """Return the bytes of such a frame at another bit rate, without padding."""
        return self.samples // 8 * self._bitrates[bitrate_index] * 1000 // self.rate

    @property
    def _bitrates(self) -> tuple[int, ...]:
        return BITRATES[3 if self.version == 3 else 2]


@dataclass(frozen=True)
class Audio:
    """The frames behind the tag, at a constant bit rate.

    Attributes:
        first: header of the first of them.
        samples: per channel, before encoding.
        size: bytes.
        crc: their CRC-16.
    """

    first: FrameHeader
    samples: int
    size: int
    crc: int

    @property
    def frames(self) -> int:
        """How many; padding keeps every one within a byte of the mean length."""
        bytes_a_second = self.first.bitrate * 125
        return round(self.size * self.first.rate / self.first.samples / bytes_a_second)

    @property
    def padding(self) -> int:
        """The samples per channel that the encoder appended."""
        return max(self.frames * self.first.samples - ENCODER_DELAY - self.samples, 0)


def frame_length(first: FrameHeader) -> int:
    """Return the bytes of the frame that holds the tag, before frames that begin with a header."""
    return first.length_at(_bitrate_index(first))


def info_frame(audio: Audio) -> bytes:
    """Return a silent frame that holds the tag."""
    first = audio.first
    index = _bitrate_index(first)
    frame = bytearray(first.length_at(index))
    frame[:4] = first.raw
    frame[1] |= 1  # no checksum of its own
    frame[2] = index << 4 | first.rate_index << 2
    start = 4 + first.side_info
    tag = _xing(audio, len(frame)) + _lame(audio, len(frame))
    frame[start : start + len(tag)] = tag
    end = start + len(tag)
    frame[end : end + 2] = crc16.update(0, bytes(frame[:end])).to_bytes(2, "big")
    return bytes(frame)


def _bitrate_index(first: FrameHeader) -> int:
    """Return the lowest bit rate whose frames have room for the tag."""
    needed = 4 + first.side_info + _TAG_BYTES
    return next(index for index in range(1, 15) if first.length_at(index) >= needed)


def _xing(audio: Audio, own_length: int) -> bytes:
    """Return frames, bytes, where each hundredth of the time begins, and no quality."""
    table = bytes(256 * hundredth // 100 for hundredth in range(100))
    size = own_length + audio.size
    return struct.pack(">4sIII", b"Info", 0b1111, audio.frames, size) + table + bytes(4)


def _lame(audio: Audio, own_length: int) -> bytes:
    """Return LAME's extension without its last field, the checksum of the tag."""
    first = audio.first
    skipped = ENCODER_DELAY << 12 | min(audio.padding, 4095)
    source = _RATE_CLASSES.get(first.rate, 0) << 6 | _STEREO_MODES[first.mode] << 2
    return struct.pack(
        ">9sBB8xBB3sBBHIH",
        b"LAME3.100",
        0x01,  # tag revision 0, constant bit rate
        0,
        0,
        min(first.bitrate, 255),
        skipped.to_bytes(3, "big"),
        source,
        0,
        0,
        own_length + audio.size,
        audio.crc,
    )

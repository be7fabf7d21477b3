"""MP3 through LAME, with the Info tag that LAME's library does not write.

Without the tag, a player neither knows the length nor skips the encoder's delay of 576 samples (and
the decoder's 529), so that a stem would start late. Format of the tag: Xing header with LAME's
extension, http://gabriel.mp3-tech.org/mp3infotag.html.
"""

import struct
from pathlib import Path

import lameenc

from splitjob_worker.spool import CHANNELS, Samples
from splitjob_worker.stems.encoding import DEFAULT_MP3_PRESET
from splitjob_worker.stems.wav import quantise

ENCODER_DELAY = 576
BITRATES = {  # kbit/s by header index, layer III
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_TAG_BYTES = 156  # Xing's 120 and LAME's 36


def frame_bitrate(header: bytes) -> int:
    """Return the bit rate of a frame in kbit/s, from its header (four bytes)."""
    version, _rate, bitrate, _padding = _fields(header)
    return BITRATES[3 if version == 3 else 2][bitrate]


def frame_samples(header: bytes) -> int:
    """Return the samples per channel of a frame, from its header (four bytes)."""
    return 1152 if _fields(header)[0] == 3 else 576


class Mp3Writer:
    """Writes an MP3 file at a constant bit rate.

    Args:
        path: the file.
        frames: samples per channel.
        sample_rate: Hz.
        bitrate_kbps: of the audio; lowered to the highest that the sample rate allows.
        preset: LAME's quality, 2 (the best) to 7 (the fastest).
        id3: the tag before the audio (`tags.id3`).
    """

    def __init__(
        self,
        path: Path,
        frames: int,
        sample_rate: int,
        bitrate_kbps: int,
        preset: int = DEFAULT_MP3_PRESET,
        id3: bytes = b"",
    ) -> None:
        self._frames = frames
        self._bitrate = bitrate_kbps
        self._encoder = lameenc.Encoder()
        self._encoder.set_bit_rate(bitrate_kbps)
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_out_sample_rate(sample_rate)
        self._encoder.set_channels(CHANNELS)
        self._encoder.set_quality(preset)
        self._encoder.silence()
        self._file = path.open("w+b")
        self._file.write(id3)
        self._start = len(id3)
        self._header = b""

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""
        self._append(bytes(self._encoder.encode(quantise(block, 16))))

    def close(self) -> None:
        """Finish the file, and write its length into its first frame."""
        self._append(bytes(self._encoder.flush()))
        end = self._file.tell()
        if self._header:
            size = end - self._start
            tag = info_frame(self._header, self._count(size), size, self._frames, self._bitrate)
            self._file.seek(self._start)
            self._file.write(tag)
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        if data and not self._header:
            self._header = data[:4]
            self._bitrate = frame_bitrate(data)  # LAME's limits: 160 below 32 kHz, then 64
            self._file.write(bytes(len(info_frame(self._header, 0, 0, 0, self._bitrate))))
        self._file.write(data)

    def _count(self, size: int) -> int:
        """Return the number of audio frames after the tag.

        At a constant bit rate, padding keeps every frame within a byte of the mean length.
        """
        tag = len(info_frame(self._header, 0, 0, 0, self._bitrate))
        version, rate, _bitrate, _padding = _fields(self._header)
        bytes_a_second = self._bitrate * 125
        return round(
            (size - tag) * RATES[version][rate] / frame_samples(self._header) / bytes_a_second
        )


def info_frame(header: bytes, count: int, size: int, samples: int, bitrate_kbps: int) -> bytes:
    """Return a silent frame that holds the tag.

    Args:
        header: the first four bytes of the first audio frame.
        count: audio frames.
        size: bytes of the file from this frame on.
        samples: per channel, before encoding.
        bitrate_kbps: of the audio.
    """
    version, rate, _bitrate, _padding = _fields(header)
    side_info = 32 if version == 3 else 17
    index = next(i for i in range(1, 15) if _length(version, rate, i) >= 4 + side_info + _TAG_BYTES)
    frame = bytearray(_length(version, rate, index))
    frame[:4] = header
    frame[1] |= 1  # no checksum
    frame[2] = index << 4 | rate << 2
    start = 4 + side_info
    table = bytes(256 * i // 100 for i in range(100))
    padding = max(count * frame_samples(header) - ENCODER_DELAY - samples, 0)
    lame = struct.pack(
        ">9sBB8xBB3sBBHI4x",
        b"LAME3.100",
        0x01,  # tag revision 0, constant bit rate
        0,
        0,
        min(bitrate_kbps, 255),
        (ENCODER_DELAY << 12 | min(padding, 4095)).to_bytes(3, "big"),
        0,
        0,
        0,
        size,
    )
    tag = struct.pack(">4sIII", b"Info", 0b1111, count, size) + table + struct.pack(">I", 0) + lame
    frame[start : start + len(tag)] = tag
    return bytes(frame)


def _fields(header: bytes) -> tuple[int, int, int, int]:
    """Return version (3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5), rate and bit rate index, padding."""
    return header[1] >> 3 & 3, header[2] >> 2 & 3, header[2] >> 4, header[2] >> 1 & 1


def _length(version: int, rate: int, bitrate: int) -> int:
    table = BITRATES[3 if version == 3 else 2]
    factor = 144 if version == 3 else 72
    return factor * table[bitrate] * 1000 // RATES[version][rate]

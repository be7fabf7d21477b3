"""MP3 through LAME, with the Info tag that LAME's library does not write (`info_tag`)."""

from pathlib import Path

import lameenc

from splitjob_worker.spool import CHANNELS, Samples
from splitjob_worker.stems import crc16
from splitjob_worker.stems.encoding import DEFAULT_MP3_PRESET
from splitjob_worker.stems.info_tag import Audio, FrameHeader, frame_length, info_frame
from splitjob_worker.stems.wav import quantise


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
        self._first: FrameHeader | None = None
        self._size = self._crc = 0  # of the audio

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""
        self._append(bytes(self._encoder.encode(quantise(block, 16))))

    def close(self) -> None:
        """Finish the file, and write the tag into its first frame."""
        self._append(bytes(self._encoder.flush()))
        if self._first:
            self._file.seek(self._start)
            self._file.write(info_frame(Audio(self._first, self._frames, self._size, self._crc)))
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if not self._first:
            self._first = FrameHeader.parse(data)
            self._file.write(bytes(frame_length(self._first)))
        self._size += len(data)
        self._crc = crc16.update(self._crc, data)
        self._file.write(data)

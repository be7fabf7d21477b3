"""Segments become the song again: added where they overlap, released as soon as they are final.

The samples that are not final yet are kept in a ring buffer on the device, which is as long as the
segments in progress.
"""

from collections.abc import Iterator, Mapping

import torch


class OverlapAdd:
    """Adds the segments of a song up.

    Args:
        stems: how many.
        channels: of each.
        frames: the song's length; samples beyond it are dropped.
        device: where the sums are kept.
        released: the samples before this one are known already.
    """

    def __init__(
        self, stems: int, channels: int, frames: int, device: torch.device, released: int = 0
    ) -> None:
        self.released = released
        self._frames = frames
        self._ring = torch.zeros(stems, channels, 0, device=device)

    @torch.inference_mode()
    def add(
        self,
        start: int,
        samples: torch.Tensor,
        window: torch.Tensor,
        shares: Mapping[int, tuple[int, float]],
    ) -> None:
        """Add a segment: `share * window * samples`.

        Args:
            start: its first sample in the song.
            samples: a model's estimate, shape (rows, channels, n).
            window: weight of each sample, shape (n,) or longer.
            shares: of each row, the stem that it is added to, and its share in it.
        """
        skipped = max(self.released - start, 0)
        begin, end = start + skipped, min(start + samples.shape[-1], self._frames)
        self.reserve(end)
        for place, part in self._pieces(begin, end):
            taken = slice(part.start + skipped, part.stop + skipped)
            for row, (stem, share) in shares.items():
                self._ring[stem, :, place].addcmul_(
                    samples[row, :, taken], window[taken], value=share
                )

    @torch.inference_mode()
    def release(self, until: int) -> torch.Tensor:
        """Return the samples before `until` that have not been returned yet; they are final.

        Returns:
            Shape (stems, channels, n).
        """
        until = max(min(until, self._frames), self.released)
        self.reserve(until)
        stems, channels, _ = self._ring.shape
        result = self._ring.new_empty(stems, channels, until - self.released)
        for place, part in self._pieces(self.released, until):
            result[..., part] = self._ring[..., place]
            self._ring[..., place] = 0
        self.released = until
        return result

    def _pieces(self, begin: int, end: int) -> Iterator[tuple[slice, slice]]:
        """Yield where the samples from begin to end are in the ring, which may wrap around.

        Yields:
            A slice of the ring, and the slice of the samples that belongs there.
        """
        position = begin
        while position < end:
            place = position % self._ring.shape[-1]
            length = min(end - position, self._ring.shape[-1] - place)
            offset = position - begin
            yield slice(place, place + length), slice(offset, offset + length)
            position += length

    @torch.inference_mode()
    def reserve(self, end: int) -> None:
        """Make room for the samples before `end`, so that adding them takes no more memory.

        Raises:
            torch.OutOfMemoryError, RuntimeError, MemoryError: there is none; nothing has changed.
        """
        old, frames = self._ring, min(end, self._frames) - self.released
        if frames <= old.shape[-1]:
            return
        kept = list(self._pieces(self.released, self.released + old.shape[-1]))
        values = [old[..., place] for place, _ in kept]
        self._ring = old.new_zeros(*old.shape[:-1], frames)
        for value, (_, part) in zip(values, kept, strict=True):
            begin = self.released + part.start
            for place, moved in self._pieces(begin, begin + value.shape[-1]):
                self._ring[..., place] = value[..., moved]

"""Whole files one behind the other, as where recordings were joined byte by byte.

FFmpeg reads the first and ends, without a word of the others, or takes their headers for sound.
Chained Ogg is something else, and in order (RFC 3533): `parts` has its links.
"""

from collections.abc import Iterator

from splitjob_worker.source import file_ends
from splitjob_worker.source.content import Content
from splitjob_worker.source.tag_sizes import APE_HEADER, tag_size

__all__ = ["files_of"]

_OLD_TAG, _OLD_TAG_SIZE = b"TAG", 128  # ID3v1


def files_of(content: Content, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each file begins and ends; mostly it is one.

    Args:
        content: of all of them.
        start: of the first.
    """
    while (following := _next_file(content, start)) is not None:
        yield start, following
        start = following
    yield start, content.size


def _next_file(content: Content, start: int) -> int | None:
    for end in file_ends.ends_of(content, start):
        place = _after_tags(content, end)
        if start < place < content.size and file_ends.begins(content, place):
            return place
    return None


def _after_tags(content: Content, place: int) -> int:
    """Return where what is behind the tags at a place begins: they belong to the file in front."""
    while header := content.at(place, APE_HEADER):
        size = _OLD_TAG_SIZE if header.startswith(_OLD_TAG) else tag_size(header)
        if not size:
            break
        place += size
    return place

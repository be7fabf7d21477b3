"""How long tags are that stand before, between and behind the sound of a file, by their headers.

ID3v2 (id3.org) and APEv2 (wiki.hydrogenaud.io). What they hold is FFmpeg's to read.
"""

__all__ = ["APE", "APE_HEADER", "ID3", "ID3_HEADER", "id3_size", "tag_size"]

ID3, APE = b"ID3", b"APETAGEX"
ID3_HEADER = 10  # bytes; a footer has as many (ID3v2.4, section 3)
APE_HEADER = 32  # bytes of header and of footer
_ID3_VERSIONS = (2, 3, 4)
_ID3_HAS_FOOTER = 0x10
_APE_IS_HEADER = 1 << 29


def tag_size(header: bytes) -> int:
    """Return how many bytes a tag has by its first `APE_HEADER` ones; 0: they begin none."""
    if header.startswith(APE) and len(header) >= APE_HEADER:
        size, flags = (int.from_bytes(header[at : at + 4], "little") for at in (12, 20))
        return APE_HEADER + size if flags & _APE_IS_HEADER else 0
    return id3_size(header)


def id3_size(header: bytes) -> int:
    """Return how many bytes an ID3v2 tag has by its first ten; 0: they begin none.

    Seven bits of each byte count. Some programs wrote all eight: a tag with such a byte is as long
    as they meant it to be.
    """
    if len(header) < ID3_HEADER or header[:3] != ID3 or header[3] not in _ID3_VERSIONS:
        return 0
    bits = 8 if max(header[6:ID3_HEADER]) > 0x7F else 7
    size = 0
    for octet in header[6:ID3_HEADER]:
        size = size << bits | octet
    footer = ID3_HEADER if header[5] & _ID3_HAS_FOOTER else 0
    return ID3_HEADER + size + footer

"""The part of SPDY/3.1 that `kubectl port-forward` uses, without input and output.

Source: SPDY Protocol, Draft 3.1 (framing in section 2.6, the header dictionary in 2.6.10.1).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_CONTROL = 0x8000
_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING = 1, 2, 3, 6
_FIN = 0x01
_STREAM_ID = 0x7FFFFFFF
_HEADER = struct.Struct("!HHI")

_WORDS = (
    "options|head|post|put|delete|trace|accept|accept-charset|accept-"
    "encoding|accept-language|accept-ranges|age|allow|authorization|cache-"
    "control|connection|content-base|content-encoding|content-language|content-"
    "length|content-location|content-md5|content-range|content-type|date|etag|"
    "expect|expires|from|host|if-match|if-modified-since|if-none-match|if-"
    "range|if-unmodified-since|last-modified|location|max-forwards|pragma|"
    "proxy-authenticate|proxy-authorization|range|referer|retry-after|server|"
    "te|trailer|transfer-encoding|upgrade|user-agent|vary|via|warning|www-"
    "authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-"
    "cookie|keep-alive|origin"
)
_REST = (
    "1001012012022052063003023033043053063074024054064074084094104114124134144154164175025045"
    "05203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401"
    " Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 S"
    "ervice UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, We"
    "d, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xm"
    "l,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdc"
    "hcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack("!I", len(word)) + word.encode() for word in _WORDS.split("|"))
DICTIONARY += _REST.encode()


@dataclass(frozen=True)
class Opened:
    """The peer opens a stream."""

    stream: int
    headers: dict[str, str]
    final: bool


@dataclass(frozen=True)
class Data:
    """The peer sends bytes on a stream; after the final ones it sends no more."""

    stream: int
    content: bytes
    final: bool


@dataclass(frozen=True)
class Reset:
    """The peer resets a stream."""

    stream: int


@dataclass(frozen=True)
class Ping:
    """The peer expects its number back."""

    number: int


Frame = Opened | Data | Reset | Ping


class SpdyError(ValueError):
    """The peer sent something that is not SPDY/3.1."""


class Decoder:
    """Decodes frames from incoming bytes, in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes; yields the frames that they complete.

        Raises:
            SpdyError: they are not SPDY.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            first, second, third = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + (third & 0xFFFFFF)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
            flags = third >> 24
            if not first & _CONTROL:
                yield Data(first << 16 | second, body, bool(flags & _FIN))
            elif frame := self._control(first, second, flags, body):
                yield frame

    def _control(self, first: int, kind: int, flags: int, body: bytes) -> Frame | None:
        if first != _CONTROL | _VERSION:
            raise SpdyError("not SPDY/3")
        try:
            if kind == _SYN_STREAM:
                (stream,) = struct.unpack_from("!I", body)
                headers = _headers(self._inflate.decompress(body[10:]))
                return Opened(stream & _STREAM_ID, headers, bool(flags & _FIN))
            if kind in (_RST_STREAM, _PING):
                (number,) = struct.unpack_from("!I", body)
                return Reset(number & _STREAM_ID) if kind == _RST_STREAM else Ping(number)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise SpdyError(f"broken frame: {error}") from None
        return None  # SETTINGS, WINDOW_UPDATE and GOAWAY need no reaction


def _headers(block: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from("!I", block)
    at, texts = 4, []
    for _ in range(2 * count):
        (length,) = struct.unpack_from("!I", block, at)
        texts.append(block[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return dict(zip(texts[::2], texts[1::2], strict=True))


class Encoder:
    """Encodes outgoing frames."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj()

    def accept(self, stream: int) -> bytes:
        """Accept a stream that the peer opened."""
        no_headers = self._deflate.compress(bytes(4)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(_SYN_REPLY, struct.pack("!I", stream) + no_headers)

    def data(self, stream: int, content: bytes, final: bool = False) -> bytes:
        """Encode at most 16 MiB of data on a stream."""
        flags = _FIN if final else 0
        return struct.pack("!II", stream, flags << 24 | len(content)) + content

    def pong(self, number: int) -> bytes:
        """Encode the answer to a ping."""
        return _control_frame(_PING, struct.pack("!I", number))


def _control_frame(kind: int, body: bytes) -> bytes:
    return _HEADER.pack(_CONTROL | _VERSION, kind, len(body)) + body

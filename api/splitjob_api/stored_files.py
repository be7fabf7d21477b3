"""Files of the bucket that callers get through the API: waveforms, and the manifest.

They are small, and a page that shows them needs no CORS rule of the bucket so. They are passed on
piece by piece; a few at once, on threads of their own, so that neither a bucket that hangs nor a
caller who is slow holds up anything else. Each takes a while only, and of all that one caller asks
for some are read at once, so that nobody keeps others from their files.
"""

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

from anyio import CapacityLimiter, move_on_after
from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from splitjob_api.caller import Caller, caller_of
from splitjob_api.concurrency_limit import ConcurrencyLimit, FairConcurrencyLimit
from splitjob_api.etags import has_etag
from splitjob_api.head_only import is_head_only
from splitjob_api.problems import ApiError, retry_later, storage_unavailable
from splitjob_api.storage_links import OpenFile, StorageLinksError

__all__ = ["StoredFiles"]

AT_ONCE = 8
AT_ONCE_OF_ONE_CALLER = 6
PATIENCE_SECONDS = 5.0
MAX_BYTES = 64 << 20  # no file of ours: it would be the waveform of more than a day
# A reader counts no longer than its file takes at the slowest rate, and a while more.
GRACE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 16 << 10
_PIECE_BYTES = 64 << 10

logger = logging.getLogger(__name__)


class _BrokenOffError(Exception):
    """The bucket broke off in the middle of a file."""


class StoredFiles:
    """How many are given a file at once; of the event loop's thread alone."""

    def __init__(self) -> None:
        self._limit = FairConcurrencyLimit(
            ConcurrencyLimit(AT_ONCE, PATIENCE_SECONDS, _too_many),
            lambda: ConcurrencyLimit(AT_ONCE_OF_ONE_CALLER, PATIENCE_SECONDS, _too_many_of_one),
        )
        self._threads = CapacityLimiter(AT_ONCE)

    async def answer(self, request: Request, open_file: Callable[[], OpenFile | None]) -> Response:
        """Return a file as an answer, or 304 where the caller has it already.

        Args:
            request: may have If-None-Match.
            open_file: blocks while the bucket answers; None: there is no such file.

        Raises:
            ApiError: 404, 429 or 503.
        """
        caller = caller_of(request.scope)
        await self._limit.acquire(caller)
        try:
            file = await self._open(open_file)
        except BaseException:
            self._limit.release(caller)
            raise
        end = partial(self._end, file, caller)
        # It must be asked about each time: what is erased must be gone.
        headers = {
            "ETag": file.etag,
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",  # whatever somebody has put there
        }
        if has_etag(request.headers.getlist("if-none-match"), file.etag):
            end()
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(file.size)
        if is_head_only(request.scope):
            end()
            return Response(headers=headers, media_type="application/json")
        seconds = GRACE_SECONDS + file.size / SLOWEST_BYTES_PER_SECOND
        return _FileResponse(self._pieces(file), headers, seconds, end)

    async def _open(self, open_file: Callable[[], OpenFile | None]) -> OpenFile:
        try:
            file = await run_sync(open_file, limiter=self._threads)
        except StorageLinksError as error:
            raise storage_unavailable(error.reason) from None
        if file is None:
            raise ApiError(404, "file_not_found", "the bucket does not hold this file any more")
        if file.size > MAX_BYTES:
            file.close()
            raise ApiError(404, "file_not_found", "what the bucket holds there is no file of ours")
        return file

    async def _pieces(self, file: OpenFile) -> AsyncIterator[bytes]:
        try:
            while piece := await run_sync(file.read, _PIECE_BYTES, limiter=self._threads):
                yield piece
        except StorageLinksError as error:
            raise _BrokenOffError(error.reason) from None

    def _end(self, file: OpenFile, caller: Caller | None) -> None:
        file.close()
        self._limit.release(caller)


def _too_many() -> ApiError:
    return storage_unavailable("too many files of the bucket are read right now")


def _too_many_of_one() -> ApiError:
    return retry_later(
        429, "rate_limited", "you read as many files of the bucket here as one caller may at once"
    )


class _FileResponse(StreamingResponse):
    """An answer that gives its place back however it ends.

    Where the bucket breaks off, or the time is over, it is left incomplete.

    Args:
        pieces: the content.
        headers: of the answer.
        seconds: how long it may take.
        end: gives the place back.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: dict[str, str],
        seconds: float,
        end: Callable[[], None],
    ) -> None:
        super().__init__(pieces, headers=headers, media_type="application/json")
        self._seconds = seconds
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with move_on_after(self._seconds) as time_left:
                await super().__call__(scope, receive, send)
            if time_left.cancelled_caught:
                logger.warning("a file of the bucket was not taken in %.0f s", self._seconds)
        except _BrokenOffError as error:
            logger.warning("a file of the bucket broke off: %s", error)
        finally:
            self._end()

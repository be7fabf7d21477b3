"""Downloads the source: from public addresses only, within limits, resumed after interruptions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from splitjob.egress import DIRECT, Egress
from splitjob.errors import ErrorCode, Failure
from splitjob.presigned import expiry
from splitjob.urls import UrlError, parse
from splitjob_io.certificates import certificate_problem
from splitjob_io.deadline import Deadline
from splitjob_io.safe_http import ForbiddenTargetError, client, stream
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.scratch import Scratch, check_source
from splitjob_worker.source.content_encoding import decode_content
from splitjob_worker.source.source_version import SourceVersion, body_length, range_start

RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
_EXCERPT_BYTES = 4096
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class DownloadLimits:
    """How large a source may be, how often it is tried, and how long it may take.

    Attributes:
        max_bytes: of the source.
        attempts: in a row that bring no further byte.
        resumptions: of a transfer that makes progress.
        first_wait: seconds before the second attempt; doubled each time.
        idle_seconds: the longest silence of the server.
        answer_seconds: for an answer: redirects, headers, the body of a refusal.
        window_seconds, min_bytes_per_second: the slowest transfer accepted, over that time.
        total_seconds: for everything.
    """

    max_bytes: int
    attempts: int = 5
    resumptions: int = 50
    first_wait: float = 0.5
    idle_seconds: float = 30.0
    answer_seconds: float = 60.0
    window_seconds: float = 30.0
    min_bytes_per_second: int = 4096
    total_seconds: float = 3600.0


class _AttemptError(Exception):
    """This attempt failed, another one may not."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message)


class _SourceChangedError(_AttemptError):
    """What was received is not part of what the source is now: the download starts over."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.SOURCE_INCOMPLETE, message)


class Download:
    """The download of one source into a file.

    Args:
        url: where from, its query included.
        target: the file.
        limits: how much, and how long.
        egress: which addresses besides public ones, and through which proxies.
        allow_http: whether the source may be plain http.
        scratch: where the file is; by default a folder without a limit of its own.
        cancel: ends the download.
        on_progress: is told the share received, 0 to 1, where the length is known.
    """

    def __init__(
        self,
        url: str,
        target: Path,
        limits: DownloadLimits,
        *,
        egress: Egress = DIRECT,
        allow_http: bool = False,
        scratch: Scratch | None = None,
        cancel: CancelToken | None = None,
        on_progress: Callable[[float], None] = lambda _share: None,
    ) -> None:
        self._url = url
        self._target = target
        self._limits = limits
        self._egress = egress
        self._allow_http = allow_http
        self._scratch = scratch or Scratch(target.parent)
        self._cancel = cancel or CancelToken()
        self._on_progress = on_progress
        self._size = 0
        self._version = SourceVersion()
        self._resumed = False
        self._answered = False
        self._deadline = Deadline(0.0)
        self._step_deadline = Deadline(0.0)

    def run(self) -> int:
        """Download, and undo the encoding that the source is stored with.

        Returns:
            The bytes of the file.

        Raises:
            Failure: `source_*`; `worker_storage` where its length is known and will not fit;
                `audio_unreadable` where its encoding cannot be undone.
            OSError: the scratch disk is full after all, or broken.
            Cancelled: told to stop.
        """
        self._check_url()
        self._deadline.move(self._limits.total_seconds)
        fruitless = resumptions = 0
        while True:
            before = self._size
            failure = self._try_attempt()
            if failure is None:
                decode_content(
                    self._target, self._version.encoding, self._check_size, self._check_time
                )
                return self._target.stat().st_size
            if not self._deadline.left:
                raise failure
            progressed = self._resumed and self._size > before
            fruitless = 0 if progressed else fruitless + 1
            resumptions += progressed
            if fruitless >= self._limits.attempts or resumptions > self._limits.resumptions:
                raise failure
            self._cancel.sleep(self._limits.first_wait * 2 ** max(fruitless - 1, 0))

    def _try_attempt(self) -> Failure | None:
        """Make one attempt; return why it failed, if another one may succeed.

        Raises:
            Failure: no other attempt would help.
        """
        try:
            self._attempt()
        except ForbiddenTargetError as refused:
            raise refused.failure() from None
        except (_AttemptError, httpx.HTTPError) as error:
            failure = self._failure_of(error)
            if isinstance(error, _SourceChangedError):
                self._size = 0
            return failure
        return None

    def _check_url(self) -> None:
        try:
            scheme = parse(self._url).scheme
        except UrlError as refused:
            raise Failure(
                ErrorCode.SOURCE_FORBIDDEN, f"the source's URL cannot be used: {refused}"
            ) from None
        if scheme != "https" and not self._allow_http:
            raise Failure(ErrorCode.SOURCE_FORBIDDEN, "the source must be an https URL")

    def _attempt(self) -> None:
        self._check_expiry()
        self._resumed = False
        headers = {"Accept-Encoding": "identity"}
        if self._size:
            headers["Range"] = f"bytes={self._size}-"
            if validator := self._version.validator:
                headers["If-Range"] = validator
        self._answered = False
        self._step_deadline.move(min(self._limits.answer_seconds, self._deadline.left))
        http = client(
            self._egress,
            timeout=httpx.Timeout(self._limits.idle_seconds, connect=_CONNECT_SECONDS),
            deadline=self._step_deadline,
        )
        with http, stream(http, self._url, headers) as response:
            self._check_status(response)
            self._answered = True
            self._receive(response)

    def _receive(self, response: httpx.Response) -> None:
        """Append the body to the file, or start the file over where the server starts over."""
        self._resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if not self._resumed:
            self._size = 0
        if not self._size:
            self._target.unlink(missing_ok=True)  # so that its space counts as free again
        self._remember(SourceVersion.of(response))
        total = self._version.total or self._size + body_length(response)
        self._check_size(total)
        check_source(self._scratch, max(total - self._size, 0))
        self._append_body(response, total)
        if self._size < total:  # an answer to Range may be shorter than what was asked for
            raise _AttemptError(
                ErrorCode.SOURCE_INCOMPLETE, f"the source stops at byte {self._size}"
            )

    def _append_body(self, response: httpx.Response, total: int) -> None:
        window_began, window_bytes = time.monotonic(), 0
        with self._target.open("ab") as file:
            for piece in self._pieces(response):
                self._cancel.check()
                self._check_size(self._size + len(piece))
                file.write(piece)
                self._size += len(piece)
                window_bytes += len(piece)
                elapsed = time.monotonic() - window_began
                if elapsed >= self._limits.window_seconds:
                    self._check_rate(window_bytes, elapsed)
                    window_began, window_bytes = time.monotonic(), 0
                if total:
                    self._on_progress(self._size / total)

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body. Each piece gives the server more time; what is not a piece does not."""
        self._wait_for_body()
        for piece in response.iter_raw():
            yield piece
            self._wait_for_body()

    def _wait_for_body(self) -> None:
        self._step_deadline.move(min(self._limits.idle_seconds, self._deadline.left))

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.PARTIAL_CONTENT:
            if range_start(response) != str(self._size):
                raise _SourceChangedError("the source sent another part of itself")
        elif status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _SourceChangedError("the source changed during the download")  # it became shorter
        elif status in RETRIED_STATUS or status >= 500:
            raise _AttemptError(ErrorCode.SOURCE_UNAVAILABLE, f"the source answers {status}")
        elif not response.is_success:
            raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> Failure:
        """Return the failure that a 4xx means; object stores say so where a signature expired."""
        status = response.status_code
        if status in {400, 401, 403}:
            excerpt = b""
            for piece in response.iter_raw():
                excerpt += piece
                if len(excerpt) >= _EXCERPT_BYTES:
                    break
            if b"expired" in excerpt[:_EXCERPT_BYTES].lower():
                return _expired()
        return Failure(
            ErrorCode.SOURCE_NOT_FOUND,
            f"the source answers {status}: it is not there, or this URL may not read it",
        )

    def _failure_of(self, error: _AttemptError | httpx.HTTPError) -> Failure:
        """Return the failure of the job if this attempt was the last one."""
        if isinstance(error, _AttemptError):
            return error.failure
        if isinstance(error, httpx.ProxyError):
            return Failure(ErrorCode.SOURCE_UNAVAILABLE, f"the source cannot be reached: {error}")
        if not self._answered and not self._step_deadline.left and self._deadline.left:
            return Failure(
                ErrorCode.SOURCE_TIMEOUT,
                f"the source has not answered within {self._limits.answer_seconds:g} s",
            )
        if not self._deadline.left or isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return Failure(
                ErrorCode.SOURCE_TIMEOUT,
                f"the source sent nothing for {self._limits.idle_seconds:g} s, or took longer "
                f"than {self._limits.total_seconds:g} s in all",
            )
        if self._size:
            return Failure(
                ErrorCode.SOURCE_INCOMPLETE,
                f"the source broke off after {self._size} bytes, again and again",
            )
        why = certificate_problem(error, error.request.url.host) or type(error).__name__
        return Failure(
            ErrorCode.SOURCE_UNAVAILABLE,
            f"the source cannot be reached: {why}",
        )

    def _remember(self, version: SourceVersion) -> None:
        """Check and keep the version: a server may ignore `If-Range` and resume another one."""
        if not self._size:
            self._version = version
        elif version.differs_from(self._version):
            raise _SourceChangedError("the source changed during the download")
        else:
            self._version = self._version.completed_by(version)

    def _check_expiry(self) -> None:
        end = expiry(self._url)
        if end is not None and end <= datetime.now(UTC):
            raise _expired()

    def _check_time(self) -> None:
        self._cancel.check()
        if not self._deadline.left:
            raise Failure(
                ErrorCode.SOURCE_TIMEOUT,
                f"the source took longer than {self._limits.total_seconds:g} s in all",
            )

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            raise too_large(self._limits.max_bytes)

    def _check_rate(self, received: int, seconds: float) -> None:
        if received < self._limits.min_bytes_per_second * seconds:
            raise Failure(
                ErrorCode.SOURCE_TIMEOUT,
                f"the source sends {received / seconds:.0f} bytes a second, too slow to go on",
            )


def too_large(max_bytes: int) -> Failure:
    """Return the failure of a source that has more bytes than an installation accepts."""
    return Failure(
        ErrorCode.SOURCE_TOO_LARGE,
        f"the source is larger than {max_bytes} bytes, the most that this installation accepts "
        "(MAX_SOURCE_BYTES)",
    )


def _expired() -> Failure:
    return Failure(
        ErrorCode.SOURCE_EXPIRED, "the source's URL has expired: send the request with a fresh one"
    )

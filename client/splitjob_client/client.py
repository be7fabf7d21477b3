"""The client that waits: one call at a time. It may be shared by threads."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TypeVar, Unpack

import httpx

from splitjob_client import calls, credentials
from splitjob_client.answers import (
    Job,
    JobEvent,
    JobPage,
    Model,
    QueueCapacity,
    QueueStatus,
    StemUrl,
    Submitted,
    UploadTicket,
)
from splitjob_client.calls import Call, JobFilter, RetryUrls, SplitFields
from splitjob_client.credentials import Credentials
from splitjob_client.errors import AnswerError, UploadError, error_of
from splitjob_client.files import (
    OnSent,
    StemFile,
    chunks_of,
    content_md5,
    is_there,
    refused_by_bucket,
    size_of,
    stem_of,
    write_waveform,
)
from splitjob_client.retrying import Retries, RetryPolicy
from splitjob_client.signed_requests import SignedRequests, certificate_authorities
from splitjob_client.watching import (
    NOTHING_MORE,
    SILENCE_SECONDS,
    EventStream,
    JobWatch,
    can_be_polled,
    is_stream,
)

Result = TypeVar("Result")
TIMEOUT_SECONDS = 30.0


class Client:
    """Calls one service.

    Every method raises a `ClientError` where it does not give what it says: `UnreachableError`
    where nobody answers, an `AnswerError` where the service says no. Calls that fail for a reason
    that may pass are made again.

    Args:
        url: the address of the service, such as https://stems.example.com.
        credentials: the token that signs, or `KubernetesToken(...)`.
        retry: how patient to be.
        http: sends the requests, with proxies and certificates of yours; by default one of its own.

    Raises:
        SettingsError: address or credentials cannot be used.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | str,
        *,
        retry: RetryPolicy | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._requests = SignedRequests(url, credentials)
        self._policy = retry or RetryPolicy()
        self._owns_http = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS, verify=certificate_authorities())

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client with API_URL and DEMUCSSVC_TOKEN (or KUBERNETES_TOKEN).

        Raises:
            SettingsError: one is missing, or cannot be used.
        """
        return cls(credentials.url_from_environment(), credentials.from_environment())

    def submit(self, **request: Unpack[SplitFields]) -> Submitted:
        """Ask for a separation.

        Args:
            request: the fields of `POST /split` in snake_case; docs/contract.md explains them.
        """
        return self._call(calls.submit(request))

    def job(self, job_id: str) -> Job:
        """Return where a job stands."""
        return self._call(calls.job(job_id))

    def jobs(
        self, *, limit: int | None = None, cursor: str | None = None, **wanted: Unpack[JobFilter]
    ) -> JobPage:
        """Return a page of jobs, newest first.

        Args:
            limit: of jobs on it.
            cursor: of the page before, with the same filter; None: the first page.
            wanted: status (one, or several), version_id, model, since, until.
        """
        return self._call(calls.jobs(wanted, limit, cursor))

    def all_jobs(self, **wanted: Unpack[JobFilter]) -> Iterator[Job]:
        """Return all jobs that a filter takes in, newest first, page after page."""
        cursor = None
        while True:
            page = self.jobs(cursor=cursor, **wanted)
            yield from page.jobs
            cursor = page.next_cursor
            if cursor is None:
                return

    def watch(self, job_id: str) -> Iterator[Job]:
        """Return a job each time it changes, at first as it is, at last as it ended.

        Raises:
            JobDeletedError: it was deleted before its end.
        """
        watch = JobWatch()
        try:
            for event in self._events(calls.job_events(job_id), EventStream(gives_way=True)):
                if job := watch.take(event.job):
                    yield job
                if watch.finished:
                    return
        except AnswerError as refused:
            if not can_be_polled(refused):
                raise
            yield from self._poll(job_id, watch)

    def events(self, last_event_id: str = "", **wanted: Unpack[JobFilter]) -> Iterator[JobEvent]:
        """Return the changes of all jobs that a filter takes in, without end.

        Args:
            last_event_id: the event after which to begin; empty: with how things stand.
            wanted: as for `jobs`.
        """
        return self._events(calls.all_events(wanted), EventStream(last_event_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that has finished stays as it is."""
        return self._call(calls.cancel(job_id))

    def retry(self, job_id: str, **urls: Unpack[RetryUrls]) -> Submitted:
        """Ask for a new job of the same request, after a failure or cancel.

        Args:
            job_id: of the job that has ended.
            urls: the presigned ones anew, all of them (`audio_url`, `webhook`, `uploads`); none:
                the old job's.
        """
        return self._call(calls.retry(job_id, urls))

    def redeliver(self, job_id: str) -> Job:
        """Have the final webhook sent again, under the same id."""
        return self._call(calls.redeliver(job_id))

    def erase(self, job_id: str) -> Job:
        """Have what the bucket holds of a finished job erased.

        Returns:
            The job; its `erased` is None while that is under way, and `watch` does not wait for it.
        """
        return self._call(calls.erase(job_id))

    def models(self) -> list[Model]:
        """Return the models on offer."""
        return self._call(calls.models())

    def queue_status(self) -> QueueStatus:
        """Return how busy the installation is."""
        return self._call(calls.queue_status())

    def queue_capacity(self) -> QueueCapacity:
        """Return how much the installation takes on."""
        return self._call(calls.queue_capacity())

    def stem_url(self, job_id: str, stem: str) -> StemUrl:
        """Return a presigned download of a stem."""
        return self._call(calls.stem_url(job_id, stem))

    def download(self, job: Job | str, stem: str, folder: Path | str = ".") -> Path:
        """Fetch a stem into a folder, and return its file; its checksum holds.

        Args:
            job: the completed job, or its id.
            stem: its type, such as `vocals`.
            folder: made where it is missing.

        Raises:
            NotCompletedError: the job has no stems.
            StemNotFoundError: it has none of that name, or the bucket does not hold it any more.
            DownloadError: it cannot be fetched or written, or is not what the job's checksum says.
        """
        done = self.job(job) if isinstance(job, str) else job
        target = StemFile(stem_of(done, stem), Path(folder))
        retries = Retries(self._policy, "the bucket")
        while True:
            url = self.stem_url(done.job_id, stem).url
            try:
                wait = self._fetch(url, target, retries)
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            if wait is None:
                return target.path
            time.sleep(wait)

    def waveform(self, job_id: str, stem: str) -> bytes:
        """Return the waveform of a stem, or of `mixture`: JSON, as `audiowaveform` writes it."""
        return self._call(calls.waveform(job_id, stem))

    def download_waveform(self, job_id: str, stem: str, folder: Path | str = ".") -> Path:
        """Fetch a waveform into a folder, and return its file, `<stem>.waveform.json`.

        Raises:
            DownloadError: it cannot be written.
        """
        return write_waveform(stem, self.waveform(job_id, stem), Path(folder))

    def manifest(self, job_id: str) -> bytes:
        """Return the manifest of a completed job: JSON, with the checksums of all its files."""
        return self._call(calls.manifest(job_id))

    def upload_ticket(self, filename: str, size: int) -> UploadTicket:
        """Return where a file of yours may go: one PUT of so many bytes, with the headers given."""
        return self._call(calls.upload(filename, size))

    def upload(self, path: Path | str, on_sent: OnSent = lambda sent: None) -> str:
        """Send a file into the bucket of the service, and return the `audio_url` to use with it.

        It is deleted there with the end of the job that uses it, or after a day.

        Args:
            path: the file.
            on_sent: is told how many bytes were sent so far; from none on where it begins again.

        Raises:
            UploadError: it cannot be read, or the bucket does not take it.
        """
        file = Path(path)
        size = size_of(file)
        digest = content_md5(file)
        ticket = self.upload_ticket(file.name, size)
        headers = ticket.headers_for(size, digest)
        retries = Retries(self._policy, "the bucket")
        while True:
            try:
                wait = self._put(ticket.url, chunks_of(file, on_sent), headers, retries)
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            if wait is None:
                return ticket.audio_url
            time.sleep(wait)

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, call: Call[Result]) -> Result:
        """Make a call, again where it may help."""
        retries = Retries(self._policy)
        while True:
            try:
                response = self._http.send(
                    self._requests.build(
                        self._http, call.method, call.target, body=call.body, headers=call.headers
                    )
                )
                wait = retries.after_answer(response)
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            else:
                if wait is None:
                    return calls.result_of(call, response)
            time.sleep(wait)

    def _events(self, target: str, stream: EventStream) -> Iterator[JobEvent]:
        """Return what a stream tells, over as many connections as it takes."""
        retries = Retries(self._policy)
        while True:
            try:
                yield from self._connection(target, stream, retries)
                if stream.ended:
                    return
                wait = stream.reopen_seconds
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            time.sleep(wait)

    def _connection(self, target: str, stream: EventStream, retries: Retries) -> Iterator[JobEvent]:
        """Return what one connection of a stream tells, until it ends.

        Raises:
            AnswerError: it is refused for good.
        """
        request = self._requests.build(
            self._http, "GET", target, headers=stream.open(), read_seconds=SILENCE_SECONDS
        )
        response = self._http.send(request, stream=True)
        try:
            if is_stream(response):
                retries.succeeded()
                for chunk in response.iter_bytes():
                    yield from stream.feed(chunk)
                return
            response.read()
            if response.status_code == NOTHING_MORE:
                stream.ended = True
                return
            refused = error_of(response)
            wait = retries.after_answer(response)
            if wait is None or (stream.gives_way and can_be_polled(refused)):
                raise refused
            time.sleep(wait)
        finally:
            response.close()

    def _poll(self, job_id: str, watch: JobWatch) -> Iterator[Job]:
        while not watch.finished:
            if job := watch.take(self.job(job_id)):
                yield job
            if not watch.finished:
                time.sleep(watch.look_again_seconds())

    def _fetch(self, url: str, target: StemFile, retries: Retries) -> float | None:
        """Fetch a file once; return for how long to wait, None where it is there."""
        identity = {"Accept-Encoding": "identity"}
        with self._http.stream("GET", url, headers=identity) as response:
            if response.status_code == 200:
                with target.writing() as file:
                    for chunk in response.iter_raw():
                        file.write(chunk)
                return None
            wait = retries.after_answer(response)
            if wait is None:
                raise refused_by_bucket(response.status_code)
            return wait

    def _put(
        self, url: str, pieces: Iterator[bytes], headers: dict[str, str], retries: Retries
    ) -> float | None:
        """Send a file once; return for how long to wait, None where it was taken."""
        response = self._http.put(url, content=pieces, headers=headers)
        if is_there(response.status_code):
            return None
        wait = retries.after_answer(response)
        if wait is None:
            raise UploadError(f"the bucket answered HTTP {response.status_code}")
        return wait

"""The same client for asyncio; `Client` says of each method what it does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
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
from splitjob_client.client import TIMEOUT_SECONDS
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


class AsyncClient:
    """Calls one service, for asyncio; as `Client`, whose methods it has.

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
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._requests = SignedRequests(url, credentials)
        self._policy = retry or RetryPolicy()
        self._owns_http = http is None
        self._http = http or httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, verify=certificate_authorities()
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client with API_URL and DEMUCSSVC_TOKEN (or KUBERNETES_TOKEN)."""
        return cls(credentials.url_from_environment(), credentials.from_environment())

    async def submit(self, **request: Unpack[SplitFields]) -> Submitted:
        """Ask for a separation."""
        return await self._call(calls.submit(request))

    async def job(self, job_id: str) -> Job:
        """Return where a job stands."""
        return await self._call(calls.job(job_id))

    async def jobs(
        self, *, limit: int | None = None, cursor: str | None = None, **wanted: Unpack[JobFilter]
    ) -> JobPage:
        """Return a page of jobs, newest first."""
        return await self._call(calls.jobs(wanted, limit, cursor))

    async def all_jobs(self, **wanted: Unpack[JobFilter]) -> AsyncIterator[Job]:
        """Return all jobs that a filter takes in, newest first, page after page."""
        cursor = None
        while True:
            page = await self.jobs(cursor=cursor, **wanted)
            for job in page.jobs:
                yield job
            cursor = page.next_cursor
            if cursor is None:
                return

    async def watch(self, job_id: str) -> AsyncIterator[Job]:
        """Return a job each time it changes, at first as it is, at last as it ended."""
        watch = JobWatch()
        try:
            async for event in self._events(calls.job_events(job_id), EventStream(gives_way=True)):
                if job := watch.take(event.job):
                    yield job
                if watch.finished:
                    return
        except AnswerError as refused:
            if not can_be_polled(refused):
                raise
            async for job in self._poll(job_id, watch):
                yield job

    def events(
        self, last_event_id: str = "", **wanted: Unpack[JobFilter]
    ) -> AsyncIterator[JobEvent]:
        """Return the changes of all jobs that a filter takes in, without end."""
        return self._events(calls.all_events(wanted), EventStream(last_event_id))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that has finished stays as it is."""
        return await self._call(calls.cancel(job_id))

    async def retry(self, job_id: str, **urls: Unpack[RetryUrls]) -> Submitted:
        """Ask for a new job of the same request, after a failure or cancel."""
        return await self._call(calls.retry(job_id, urls))

    async def redeliver(self, job_id: str) -> Job:
        """Have the final webhook sent again, under the same id."""
        return await self._call(calls.redeliver(job_id))

    async def erase(self, job_id: str) -> Job:
        """Have what the bucket holds of a finished job erased."""
        return await self._call(calls.erase(job_id))

    async def models(self) -> list[Model]:
        """Return the models on offer."""
        return await self._call(calls.models())

    async def queue_status(self) -> QueueStatus:
        """Return how busy the installation is."""
        return await self._call(calls.queue_status())

    async def queue_capacity(self) -> QueueCapacity:
        """Return how much the installation takes on."""
        return await self._call(calls.queue_capacity())

    async def stem_url(self, job_id: str, stem: str) -> StemUrl:
        """Return a presigned download of a stem."""
        return await self._call(calls.stem_url(job_id, stem))

    async def download(self, job: Job | str, stem: str, folder: Path | str = ".") -> Path:
        """Fetch a stem into a folder, and return its file; its checksum holds."""
        done = await self.job(job) if isinstance(job, str) else job
        target = StemFile(stem_of(done, stem), Path(folder))
        retries = Retries(self._policy, "the bucket")
        while True:
            url = (await self.stem_url(done.job_id, stem)).url
            try:
                wait = await self._fetch(url, target, retries)
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            if wait is None:
                return target.path
            await asyncio.sleep(wait)

    async def waveform(self, job_id: str, stem: str) -> bytes:
        """Return the waveform of a stem, or of `mixture`: JSON, as `audiowaveform` writes it."""
        return await self._call(calls.waveform(job_id, stem))

    async def download_waveform(self, job_id: str, stem: str, folder: Path | str = ".") -> Path:
        """Fetch a waveform into a folder, and return its file, `<stem>.waveform.json`."""
        return write_waveform(stem, await self.waveform(job_id, stem), Path(folder))

    async def manifest(self, job_id: str) -> bytes:
        """Return the manifest of a completed job: JSON, with the checksums of all its files."""
        return await self._call(calls.manifest(job_id))

    async def upload_ticket(self, filename: str, size: int) -> UploadTicket:
        """Return where a file of yours may go: one PUT of so many bytes, with the headers given."""
        return await self._call(calls.upload(filename, size))

    async def upload(self, path: Path | str, on_sent: OnSent = lambda sent: None) -> str:
        """Send a file into the bucket of the service, and return the `audio_url` to use with it."""
        file = Path(path)
        size = await asyncio.to_thread(size_of, file)
        digest = await asyncio.to_thread(content_md5, file)
        ticket = await self.upload_ticket(file.name, size)
        headers = ticket.headers_for(size, digest)
        retries = Retries(self._policy, "the bucket")
        while True:
            try:
                wait = await self._put(ticket.url, chunks_of(file, on_sent), headers, retries)
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            if wait is None:
                return ticket.audio_url
            await asyncio.sleep(wait)

    async def aclose(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _call(self, call: Call[Result]) -> Result:
        """Make a call, again where it may help."""
        retries = Retries(self._policy)
        while True:
            try:
                response = await self._http.send(
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
            await asyncio.sleep(wait)

    async def _events(self, target: str, stream: EventStream) -> AsyncIterator[JobEvent]:
        """Return what a stream tells, over as many connections as it takes."""
        retries = Retries(self._policy)
        while True:
            try:
                async for event in self._connection(target, stream, retries):
                    yield event
                if stream.ended:
                    return
                wait = stream.reopen_seconds
            except httpx.TransportError as error:
                wait = retries.after_failure(error)
            await asyncio.sleep(wait)

    async def _connection(
        self, target: str, stream: EventStream, retries: Retries
    ) -> AsyncIterator[JobEvent]:
        """Return what one connection of a stream tells, until it ends.

        Raises:
            AnswerError: it is refused for good.
        """
        request = self._requests.build(
            self._http, "GET", target, headers=stream.open(), read_seconds=SILENCE_SECONDS
        )
        response = await self._http.send(request, stream=True)
        try:
            if is_stream(response):
                retries.succeeded()
                async for chunk in response.aiter_bytes():
                    for event in stream.feed(chunk):
                        yield event
                return
            await response.aread()
            if response.status_code == NOTHING_MORE:
                stream.ended = True
                return
            refused = error_of(response)
            wait = retries.after_answer(response)
            if wait is None or (stream.gives_way and can_be_polled(refused)):
                raise refused
            await asyncio.sleep(wait)
        finally:
            await response.aclose()

    async def _poll(self, job_id: str, watch: JobWatch) -> AsyncIterator[Job]:
        while not watch.finished:
            if job := watch.take(await self.job(job_id)):
                yield job
            if not watch.finished:
                await asyncio.sleep(watch.look_again_seconds())

    async def _fetch(self, url: str, target: StemFile, retries: Retries) -> float | None:
        """Fetch a file once; return for how long to wait, None where it is there."""
        identity = {"Accept-Encoding": "identity"}
        async with self._http.stream("GET", url, headers=identity) as response:
            if response.status_code == 200:
                with target.writing() as file:
                    async for chunk in response.aiter_raw():
                        await asyncio.to_thread(file.write, chunk)
                return None
            wait = retries.after_answer(response)
            if wait is None:
                raise refused_by_bucket(response.status_code)
            return wait

    async def _put(
        self, url: str, pieces: Iterator[bytes], headers: dict[str, str], retries: Retries
    ) -> float | None:
        """Send a file once; return for how long to wait, None where it was taken."""
        response = await self._http.put(url, content=_beside(pieces), headers=headers)
        if is_there(response.status_code):
            return None
        wait = retries.after_answer(response)
        if wait is None:
            raise UploadError(f"the bucket answered HTTP {response.status_code}")
        return wait


async def _beside(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Return the pieces of a file, each read beside the loop."""
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece

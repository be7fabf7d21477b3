"""What a client makes of an event stream, and when it looks again: pure, for both clients.

A stream that ends or breaks is opened again after the last event that came (`Last-Event-ID`). A
service without such a stream, or with too many of them, is asked for the job again and again.
"""

import httpx

from splitjob_client.answers import Answer, Job, JobEvent
from splitjob_client.calls import read_json
from splitjob_client.errors import AnswerError, JobDeletedError, UnexpectedAnswerError
from splitjob_client.server_sent_events import EventDecoder, ServerSentEvent

# The service sends a comment every 15 s: after three of them have failed to come, it is gone.
SILENCE_SECONDS = 50.0
MEDIA_TYPE = "text/event-stream"
NOTHING_MORE = 204  # the last event was told already
REOPEN_SECONDS = 1.0
_FIRST_LOOK, _LONGEST_LOOK = 1.0, 10.0


class EventStream:
    """A stream of events, over all the connections that it takes.

    Args:
        last_event_id: the event after which to begin; empty: with how things stand.
        gives_way: whether it is of a job that can be asked for again and again instead.

    Attributes:
        gives_way: as it was given.
        ended: whether nothing more will come of it.
    """

    def __init__(self, last_event_id: str = "", *, gives_way: bool = False) -> None:
        self.gives_way = gives_way
        self.ended = False
        self._decoder = EventDecoder(last_event_id)
        self._told_to_resume = False

    def open(self) -> dict[str, str]:
        """Return the headers to open it with, for the first time or again."""
        last_event_id = self._decoder.last_id
        self._decoder = EventDecoder(last_event_id)
        self._told_to_resume = False
        resumed = {"Last-Event-ID": last_event_id} if last_event_id else {}
        return {"Accept": MEDIA_TYPE, "Cache-Control": "no-store", **resumed}

    def feed(self, chunk: bytes) -> list[JobEvent]:
        """Return the changes that a further piece of the stream tells.

        Raises:
            UnexpectedAnswerError: it tells what cannot be read.
        """
        told = [self._change(event) for event in self._decoder.feed(chunk)]
        return [change for change in told if change is not None]

    @property
    def reopen_seconds(self) -> float:
        """For how long to wait before it is opened again."""
        if self._told_to_resume:  # we were slow, the service is not in trouble
            return 0.0
        asked = self._decoder.retry_seconds
        return REOPEN_SECONDS if asked is None else asked

    def _change(self, event: ServerSentEvent) -> JobEvent | None:
        told = {"kind": event.name, "event_id": event.last_id}
        if event.name == "job":
            job = read_json(Job, event.data)
            return JobEvent(**told, job_id=job.job_id, job=job)
        if event.name == "deleted":
            return JobEvent(**told, job_id=read_json(_Deleted, event.data).job_id)
        if event.name == "reload":
            return JobEvent(**told)
        self._told_to_resume = self._told_to_resume or event.name == "resume"
        return None


class JobWatch:
    """What was last seen of one job."""

    def __init__(self) -> None:
        self._seen: Job | None = None
        self._look_seconds = _FIRST_LOOK

    def take(self, job: Job | None) -> Job | None:
        """Return a job if it has changed since it was last seen.

        Raises:
            JobDeletedError: there is none any more.
        """
        if job is None:
            raise JobDeletedError("the job was deleted while it was watched")
        if job.same_as(self._seen):
            return None
        self._seen = job
        self._look_seconds = _FIRST_LOOK
        return job

    @property
    def finished(self) -> bool:
        """Whether nothing more will be seen."""
        return self._seen is not None and self._seen.finished

    def look_again_seconds(self) -> float:
        """Return for how long to wait before the next look; longer each time in vain."""
        wait = self._look_seconds
        self._look_seconds = min(_LONGEST_LOOK, wait * 1.5)
        return wait


def is_stream(response: httpx.Response) -> bool:
    """Whether an answer is a stream of events.

    Raises:
        UnexpectedAnswerError: it is something else, and no error either.
    """
    if not response.is_success or response.status_code == NOTHING_MORE:
        return False
    if not response.headers.get("content-type", "").startswith(MEDIA_TYPE):
        raise UnexpectedAnswerError("what should be a stream of events is none")
    return True


def can_be_polled(error: AnswerError) -> bool:
    """Whether a job whose stream is refused so can be asked for again and again instead."""
    missing = error.status == 404 and error.code != "job_not_found"
    return missing or error.code in {"too_many_streams", "too_many_own_streams"}


class _Deleted(Answer):
    job_id: str

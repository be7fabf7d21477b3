"""What the service answers, typed.

Fields that a later release adds are kept as they come (`model_extra`), and no set of values is
closed: a client of today reads the answers of tomorrow.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from splitjob.result import MIXTURE

_LENGTH = "content-length"
FINISHED = frozenset({"completed", "failed", "canceled"})


class Answer(BaseModel):
    """A part of an answer; camelCase on the wire, snake_case here."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        hide_input_in_errors=True,
        protected_namespaces=(),  # `model_digest` is a field of the service
    )


class JobProgress(Answer):
    """How far the worker is.

    Attributes:
        stage: fetch, decode, separate, encode, upload or notify.
        percent: of the whole job.
    """

    stage: str
    percent: int


class JobQueue(Answer):
    """Why the job waits.

    Attributes:
        position: 1 is next; None: it has no place in the queue.
        reason: for programs.
        message: for people.
        eta_seconds: until it is expected to be done; None: not known.
        retry_at: when the next attempt may start, after one that failed.
    """

    position: int | None = None
    reason: str = ""
    message: str = ""
    eta_seconds: int | None = None
    retry_at: datetime | None = None


class JobFailure(Answer):
    """Why there are no stems.

    Attributes:
        code: stable, as `errorCode` in the webhook.
        message: what is wrong, and what to do.
    """

    code: str
    message: str


class JobWebhook(Answer):
    """What became of the final event.

    Attributes:
        event: completed, failed or canceled.
        state: Pending, Delivered, NotWanted, Blocked or GivenUp.
        attempts: made by the operator so far.
        next_attempt_at: when it is tried next, if it is.
        delivered_at: when the receiver took it.
        last_error: why the last attempt failed.
    """

    event: str
    state: str
    attempts: int = 0
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    last_error: str | None = None


class Stem(Answer):
    """One file that a job gave.

    Attributes:
        type: drums, bass, other, vocals, ...
        url: where it lies, `s3://bucket/key`; empty where it went to an upload URL.
        size: bytes.
        duration: seconds.
        checksum: `sha256:` and 64 hex digits, of the file.
        format: wav, flac, mp3, m4a or opus.
        sample_rate: Hz.
        peak: the largest magnitude before clipping; 1 is full scale.
        gain: what it was multiplied with against clipping.
        silent: whether its peak is below -60 dBFS.
        waveform: where that lies, as `url`; None where none was asked for.
    """

    type: str
    url: str = ""
    size: int = 0
    duration: float = 0
    checksum: str = ""
    format: str = ""
    sample_rate: int = 0
    peak: float | None = None
    gain: float | None = None
    silent: bool = False
    waveform: str | None = None


class JobResult(Answer):
    """What a completed job gave.

    Attributes:
        stems: its files.
        model: what was run.
        model_digest: SHA-256 of its weights.
        device: cpu, cuda, mps.
        audio: duration, sampleRate and channels of the mixture as it came, and its waveform;
            damagedSeconds and missingSeconds where some of it was lost.
        timings: milliseconds of each stage; `load`, of the model, runs beside `fetch` and `decode`.
        residual: RMS of the mixture minus the sum of its stems, dBFS; None for a subset.
    """

    stems: list[Stem] = []
    model: str = ""
    model_digest: str | None = None
    device: str | None = None
    audio: dict[str, Any] | None = None
    timings: dict[str, int] = {}
    residual: float | None = None

    @property
    def waveforms(self) -> list[str]:
        """Whose waveforms the service passes on: stems, and `mixture`."""
        places = {stem.type: stem.waveform for stem in self.stems}
        places.setdefault(MIXTURE, (self.audio or {}).get("waveform"))
        return [name for name, url in places.items() if url and url.startswith("s3://")]


class Erased(Answer):
    """What was erased of a job, and when.

    Attributes:
        at: when they were gone.
        objects: how many files.
        files: which, by name; `input` is the file that was sent for the job.
    """

    at: datetime
    objects: int
    files: list[str] = []


class Job(Answer):
    """A job: where it stands, and what came of it.

    Attributes:
        job_id: its name, also that of the SplitJob.
        version_id: as in the request, like `correlation_id`, `ai_model`, `metadata` and `priority`.
        state: queued, starting, running, completed, failed or canceled.
        created_at: when it was accepted.
        started_at: when a worker began.
        finished_at: when it ended.
        attempts: workers tried so far.
        gpu_seconds: of a finished job, how long they held their resources, with a GPU or without.
        cancel_requested: whether it is to be canceled; `state` says so once it is.
        erase_requested: whether its data are to be erased; `erased` says so once they are.
        progress: while a worker runs.
        queue: while it is not finished.
        result: of a completed job.
        failure: of a failed or canceled job.
        webhook: of a finished job.
        erased: what of its data was erased, if any was asked to be.
        observed_at: when the service last saw it so.
    """

    job_id: str
    version_id: str = ""
    correlation_id: str | None = None
    ai_model: str = ""
    metadata: dict[str, str] = {}
    state: str
    priority: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    gpu_seconds: float | None = None
    cancel_requested: bool = False
    erase_requested: bool = False
    progress: JobProgress | None = None
    queue: JobQueue | None = None
    result: JobResult | None = None
    failure: JobFailure | None = None
    webhook: JobWebhook | None = None
    erased: Erased | None = None
    observed_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in FINISHED

    def same_as(self, other: "Job | None") -> bool:
        """Whether another sight of it says the same, but for the time of looking."""
        return (
            other is not None
            and self.model_copy(update={"observed_at": other.observed_at}) == other
        )


class JobPage(Answer):
    """A page of jobs, newest first.

    Attributes:
        jobs: on this page.
        next_cursor: of the next page; None on the last one.
        observed_at: when the service last saw them so.
    """

    jobs: list[Job]
    next_cursor: str | None = None
    observed_at: datetime | None = None


class JobEvent(Answer):
    """A change, as `events` tells it.

    Attributes:
        kind: `job`, `deleted`, or `reload`: what was deleted since `last_event_id` is not known, so
            whoever keeps a list reads it anew.
        event_id: to resume after this one (`last_event_id`).
        job_id: of the job that changed; empty with `reload`.
        job: as it is now; None with another kind than `job`.
    """

    kind: str
    event_id: str
    job_id: str = ""
    job: Job | None = None


class Submitted(Answer):
    """The job that serves a request.

    Attributes:
        job_id: its name.
        created: whether it is new; False: the same request had one already.
        warnings: such as a presigned URL that will probably end before the job's turn.
    """

    job_id: str
    created: bool = True
    warnings: list[str] = []


class Model(Answer):
    """A model that requests can name.

    Attributes:
        name: for `ai_model`.
        stems: that it gives.
        sample_rate: Hz.
        license_note: what is known about the right to use it.
        embedded: whether its weights come with the service; those of others have to be put there.
    """

    name: str
    stems: list[str]
    sample_rate: int
    license_note: str = ""
    embedded: bool = False


class QueueStatus(Answer):
    """The queue now, and the totals for the life of the installation.

    Attributes:
        queue_depth: jobs that no worker has started on.
        active_workers: jobs that a worker runs.
        completed_jobs: in all, like `failed_jobs` and `canceled_jobs`.
        oldest_queued_seconds: 0 where none waits.
        estimated_drain_seconds: until all of it is expected to be done; None: not known.
        observed_at: when the service last saw it so.
    """

    model_config = ConfigDict(alias_generator=None)  # in snake_case, unlike the other answers

    queue_depth: int
    active_workers: int
    completed_jobs: int
    failed_jobs: int
    canceled_jobs: int = 0
    oldest_queued_seconds: int = 0
    estimated_drain_seconds: int | None = None
    observed_at: datetime | None = None


class QueueCapacity(Answer):
    """What the installation takes on.

    Attributes:
        max_active_jobs: at once; None: as many as the cluster has room for.
        max_queued_jobs: that may wait before new ones get 429; None: any number.
        paused: whether nothing new is started.
    """

    model_config = ConfigDict(alias_generator=None)  # in snake_case, as `QueueStatus`

    max_active_jobs: int | None
    max_queued_jobs: int | None
    paused: bool


class StemUrl(Answer):
    """A presigned download: whoever has the URL has the file, so keep it to yourself.

    Attributes:
        url: to be fetched without any header of ours.
        expires_at: when it ends.
    """

    url: str = Field(repr=False)
    expires_at: datetime | None = None


class UploadTicket(Answer):
    """Where a file of one's own goes, by one PUT.

    Attributes:
        url: presigned: keep it to yourself.
        headers: to be sent with the PUT as they are.
        audio_url: for the request that is to use the file.
        expires_at: when `url` ends.
    """

    url: str = Field(repr=False)
    headers: dict[str, str] = Field(default={}, repr=False)
    audio_url: str = Field(repr=False)
    expires_at: datetime | None = None

    def headers_for(self, size: int, content_md5: str) -> dict[str, str]:
        """Return the headers of the PUT of a file.

        Args:
            size: bytes of it.
            content_md5: of it (RFC 1864), which a bucket under Object Lock demands.
        """
        given = {name: value for name, value in self.headers.items() if name.lower() != _LENGTH}
        return {**given, _LENGTH: str(size), "content-md5": content_md5}

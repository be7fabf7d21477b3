"""The Python client of the service, sync and async.

    from splitjob_client import Client

    with Client("https://stems.example.com", TOKEN) as client:
        submitted = client.submit(
            version_id="song-42", ai_model="htdemucs", audio_url=SONG, webhook=WEBHOOK
        )
        for job in client.watch(submitted.job_id):
            print(job.state, job.progress)

`AsyncClient` has the same methods, to be awaited. Every error is a `ClientError`.
"""

from splitjob_client.answers import (
    Erased,
    Job,
    JobEvent,
    JobFailure,
    JobPage,
    JobProgress,
    JobQueue,
    JobResult,
    JobWebhook,
    Model,
    QueueCapacity,
    QueueStatus,
    Stem,
    StemUrl,
    Submitted,
    UploadTicket,
)
from splitjob_client.async_client import AsyncClient
from splitjob_client.calls import JobFilter, RetryUrls, SplitFields, UploadTarget
from splitjob_client.client import Client
from splitjob_client.credentials import (
    Credentials,
    KubernetesToken,
    SigningToken,
)
from splitjob_client.errors import (
    AnswerError,
    BusyError,
    ClientError,
    ConflictError,
    DownloadError,
    FieldError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    JobDeletedError,
    NotCompletedError,
    NotFoundError,
    NotOfferedError,
    SettingsError,
    StemNotFoundError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
    UploadError,
)
from splitjob_client.retrying import RetryPolicy

__all__ = [
    "AnswerError",
    "AsyncClient",
    "BusyError",
    "Client",
    "ClientError",
    "ConflictError",
    "Credentials",
    "DownloadError",
    "Erased",
    "FieldError",
    "ForbiddenError",
    "GoneError",
    "InvalidRequestError",
    "Job",
    "JobDeletedError",
    "JobEvent",
    "JobFailure",
    "JobFilter",
    "JobPage",
    "JobProgress",
    "JobQueue",
    "JobResult",
    "JobWebhook",
    "KubernetesToken",
    "Model",
    "NotCompletedError",
    "NotFoundError",
    "NotOfferedError",
    "QueueCapacity",
    "QueueStatus",
    "RetryPolicy",
    "RetryUrls",
    "SettingsError",
    "SigningToken",
    "SplitFields",
    "Stem",
    "StemNotFoundError",
    "StemUrl",
    "Submitted",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "UploadError",
    "UploadTarget",
    "UploadTicket",
]

"""The seam between operator and worker: what the pod's container is given, by which name.

The operator writes these names into the Job, the worker reads them; nothing else passes between
the two on the way in. On the way out there are the termination message and the progress lines
(`splitjob.result`).
"""

CONTAINER = "worker"
COMMAND = ("python", "-m", "splitjob_worker")

# Who and what
ENV_JOB_ID = "JOB_ID"  # the SplitJob's name
ENV_JOB_UID = "JOB_UID"  # the SplitJob's uid
ENV_ATTEMPT = "ATTEMPT"  # 1, 2, ...
ENV_EARLIER_SECONDS = "EARLIER_SECONDS"  # how long the attempts before it held their resources
ENV_TRACEPARENT = "TRACEPARENT"  # where in a trace it belongs, as W3C has it; blank: in none
ENV_REQUEST = "SPLIT_REQUEST"  # spec.request as JSON; holds no secret

# Where: paths, always handed over, never assumed
ENV_SECRET_DIR = "REQUEST_SECRET_DIR"  # noqa: S105 - a directory: the source Secret, one file a key
ENV_SCRATCH_DIR = "SCRATCH_DIR"
ENV_SCRATCH_BYTES = "SCRATCH_BYTES"  # its size limit; blank: as much as the disk has
ENV_MODEL_DIR = "MODEL_DIR"  # weights in Demucs' layout; blank: only the embedded demo model
ENV_MODEL_REGISTRY = "MODEL_REGISTRY"  # a registry file; blank: the built-in one
ENV_TERMINATION_MESSAGE = "TERMINATION_MESSAGE_PATH"

# How
ENV_DEVICE = "DEVICE"  # cpu, cuda, mps
ENV_PRECISION = "PRECISION"  # of the calculation; blank: ieee, full fp32
ENV_STORAGE_PREFIX = "STORAGE_PREFIX"
ENV_MAX_AUDIO_SECONDS = "MAX_AUDIO_SECONDS"
ENV_MAX_LOST_PERCENT = "MAX_LOST_PERCENT"  # of the audio that may be damaged or missing
ENV_MAX_SOURCE_BYTES = "MAX_SOURCE_BYTES"
ENV_CHECKPOINT_MIN_SECONDS = "CHECKPOINT_MIN_SECONDS"  # of audio that is kept; 0: none
ENV_GRACE_SECONDS = "TERMINATION_GRACE_SECONDS"  # from SIGTERM until it is killed
ENV_ALLOWED_PRIVATE_ADDRESSES = "SOURCE_ALLOWED_NETWORKS"  # CIDRs exempt from the address rules

# The names of docs/contract.md, section 5, from the chart's Secret and ConfigMap: ENVIRONMENT,
# DEMUCSSVC_TOKEN, API_WEBHOOK_URL_ALLOWLIST, S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID,
# S3_SECRET_ACCESS_KEY. With presigned uploads the S3_* are not handed over at all.

SECRET_KEY_SOURCE = "source"  # noqa: S105 - a key's name
SECRET_KEY_WEBHOOK = "webhook"  # noqa: S105 - a key's name
SECRET_KEY_UPLOAD = "upload."  # noqa: S105 - followed by the stem, or by `manifest`
SECRET_KEY_HEADERS = "headers."  # noqa: S105 - the same; a JSON object of names and values


def identity_of(name: str, uid: str, submission_id: str | None) -> str:
    """Return what a job is known by to receivers: it stays where a backup is restored.

    The name is part of it, so that a SplitJob copied by hand to another name is another job.

    Args:
        name: the SplitJob's.
        uid: the SplitJob's; it stands for a job that has no submission id.
        submission_id: of the request.
    """
    return f"{name}-{submission_id}" if submission_id else uid


def event_id(identity: str, event: str) -> str:
    """Return the `webhook-id` of a final event: the same whoever sends it, however often."""
    return f"evt-{identity}-{event}"


def courtesy_event_id(identity: str, attempt: int, event: str, sequence: int) -> str:
    """Return the `webhook-id` of a `started` or `progress` event."""
    return f"evt-{identity}-{attempt}-{event}-{sequence}"

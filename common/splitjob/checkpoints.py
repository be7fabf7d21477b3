"""Where a job's checkpoints lie in the bucket: the worker writes there, the operator deletes.

<prefix>/<versionId>/<jobId>/checkpoint/<attempt>/<identity>.<run>/...
"""

from collections.abc import Iterable

__all__ = ["checkpoint_folder", "checkpoint_identity", "checkpoint_run", "keys_of_job"]


def checkpoint_folder(prefix: str) -> str:
    """Return what the keys of all checkpoints begin with.

    Args:
        prefix: of the job's objects (`splitjob.result.storage_prefix`).
    """
    return f"{prefix}/checkpoint/"


def checkpoint_identity(job_uid: str, submission_id: str | None) -> str:
    """Return what tells a job's checkpoints from those of another job of its name.

    Args:
        job_uid: the SplitJob's.
        submission_id: of the request, which stays where a backup is restored.
    """
    return submission_id or job_uid


def checkpoint_run(attempt: int, identity: str, run: str) -> str:
    """Return the folder of one run of a worker, below `checkpoint_folder`, without a slash.

    Args:
        attempt: its number; Kueue lets one attempt run several times.
        identity: of the job.
        run: of this one alone.
    """
    return f"{attempt}/{identity}.{run}"


def keys_of_job(keys: Iterable[str], folder: str, identity: str) -> list[str]:
    """Return the keys that lie in the folders of a job's runs.

    Args:
        keys: of objects below `folder`.
        folder: `checkpoint_folder`'s.
        identity: of the job.
    """
    return [key for key in keys if _identity_in(key.removeprefix(folder)) == identity]


def _identity_in(name: str) -> str:
    """Return whose a key below the folder is; blank: nobody's."""
    _attempt, _, run_and_rest = name.partition("/")
    run, _, _rest = run_and_rest.partition("/")
    return run.rpartition(".")[0]

"""What may be the name of a job."""

import re

from splitjob.resource import MAX_NAME_LENGTH

# The names that a SplitJob can have: DNS subdomains that leave room for a Job's suffix.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)


def is_job_name(job_id: str) -> bool:
    """Return whether a SplitJob may be called this: nothing else is looked up in the cluster."""
    return len(job_id) <= MAX_NAME_LENGTH and _NAME.fullmatch(job_id) is not None

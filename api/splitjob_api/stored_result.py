"""What a completed job left in the bucket: who may be told where it is, who is told why not."""

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.status import Result, read_status
from splitjob_api.deps import Services
from splitjob_api.kubernetes import SplitJobObject
from splitjob_api.problems import ApiError, storage_not_configured
from splitjob_api.storage_links import StorageLinks


def stored_result(splitjob: SplitJobObject) -> Result:
    """Return the result of a job whose files lie in our bucket.

    Raises:
        ApiError: they do not; the code says why.
    """
    if lifecycle_of(splitjob) is not LifecycleState.COMPLETED:
        raise ApiError(409, "not_completed", "the job is not completed, so it has no stems")
    if splitjob["spec"]["request"].get("uploads"):
        raise ApiError(
            409, "stems_elsewhere", "the stems went to the URLs of the request's `uploads`"
        )
    if splitjob["spec"].get("erase"):
        raise ApiError(410, "erased", "the stems were erased; their job stays on record")
    result = read_status(splitjob["status"]).result
    if result is None:
        raise ApiError(404, "stem_not_found", "nothing is known of this job's stems")
    return result


def storage_place(services: Services, url: str) -> tuple[StorageLinks, str]:
    """Return the bucket of an object, and its key.

    Args:
        services: the app's.
        url: `s3://bucket/key`, as the result has it.

    Raises:
        ApiError: 501; the API has no access to a bucket. 409; it lies in one of former settings.
    """
    links = services.storage_links
    if links is None:
        raise storage_not_configured(
            "this API has no access to the bucket, which the chart's api.storage.enabled gives it; "
            "the stems are where the job's result says"
        )
    ours = f"s3://{links.bucket}/"  # the ARN of an access point has a slash in it
    if not url.startswith(ours):
        bucket = url.removeprefix("s3://").partition("/")[0]
        raise ApiError(
            409, "stems_elsewhere", f"the stems are in {bucket}, no longer this installation's"
        )
    return links, url.removeprefix(ours)

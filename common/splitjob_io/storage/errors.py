"""What can go wrong with a bucket, said in one way."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, ProxyConnectionError

from splitjob_io.certificates import certificate_problem
from splitjob_io.proxy_tunnel import tunnel_problem

__all__ = ["StorageError", "translating"]

MISSING = {"404", "NoSuchKey", "NotFound"}
_MAY_DEMAND_MORE = {400, 403}


class StorageError(Exception):
    """An operation on the bucket failed, after retries.

    Args:
        message: what failed, on which object, with which answer. Never a key or a signed URL.
        code: the storage's own error code, e.g. `AccessDenied`; blank where nothing answered.
        status: the HTTP status; 0 where nothing answered.
    """

    def __init__(self, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later: no answer, overload, or a server error."""
        return self.status in {0, 408, 429} or self.status >= 500

    @property
    def missing(self) -> bool:
        """Whether it is the object that is not there, not its bucket, nor the key's user."""
        return self.code in MISSING

    @property
    def advice(self) -> str:
        """A clause for people on how to find what a refusal wants; blank where it is none."""
        if self.status not in _MAY_DEMAND_MORE:
            return ""
        return "; `track-tree-audio storage test` tries what the bucket may demand, and names it"


@contextmanager
def translating(attempt: str) -> Iterator[None]:
    """Turn boto3's many exceptions into `StorageError`.

    Args:
        attempt: what is attempted on what: `upload s3://stems/a.wav`.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = f"cannot {attempt}: the storage answered {status} {code}"
        raise StorageError(said, code, status) from None
    except Boto3Error as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ClientError):
            with translating(attempt):
                raise cause from None
        raise StorageError(f"cannot {attempt}: {type(cause or error).__name__}") from None
    except BotoCoreError as error:
        host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname
        why = certificate_problem(error, host) or type(error).__name__
        if isinstance(error, ProxyConnectionError):
            why = tunnel_problem(error)
        raise StorageError(f"cannot {attempt}: {why}", type(error).__name__) from None

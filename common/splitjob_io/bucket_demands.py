"""What a bucket demands of each request beyond a signature, added to a boto3 client in one place.

Its managed transfers, conditional writes and presigned URLs all pass through the client's events,
so that no call has to think of it: encryption and storage class where an object begins, the
requester's consent to pay everywhere, a digest of what is sent. Checksums other than Content-MD5
are botocore's own business and are asked for with each call (`checksum_of`).

The digest goes with every object, for a bucket under Object Lock takes none without. It is
Content-MD5 and not botocore's own CRC32, which comes in a trailer that R2 and others refuse. Over
HTTPS it costs nothing: botocore then leaves out the SHA-256 of the body.

Source: Amazon S3 API reference (PutObject, CreateMultipartUpload, UploadPart).
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel

from splitjob.storage_settings import BucketDemands

__all__ = ["attach", "checksum_of", "headers_of_uploads"]

_DIGESTED = ("PutObject", "UploadPart", "DeleteObjects")
_BLOCK = 1 << 20
_PAYER = "x-amz-request-payer"


def attach(client: Any, demands: BucketDemands) -> None:  # noqa: ANN401 - boto3's own kind
    """Let every request of a boto3 client meet what a bucket demands.

    Args:
        client: of S3.
        demands: the installation's settings.
    """
    added = _parameters(demands)

    def add_parameters(
        params: dict[str, Any], model: OperationModel, context: Mapping[str, Any], **_: object
    ) -> None:
        presigned = context.get("is_presign_request", False)
        for name, value in added.items():
            if name in model.input_shape.members and not (presigned and name in _NOT_PRESIGNED):
                params.setdefault(name, value)

    client.meta.events.register("provide-client-params.s3", add_parameters)
    if demands.s3_requester_pays:
        client.meta.events.register("before-sign.s3", _agree_in_the_url)
    if demands.s3_checksum == "md5":
        for operation in _DIGESTED:
            client.meta.events.register(f"before-call.s3.{operation}", _add_digest)


def checksum_of(demands: BucketDemands) -> dict[str, str]:
    """Return the parameter that asks botocore for a checksum; empty: Content-MD5 is sent."""
    kind = demands.s3_checksum
    return {} if kind == "md5" else {"ChecksumAlgorithm": kind.upper()}


def headers_of_uploads(demands: BucketDemands) -> dict[str, str]:
    """Return the headers that a presigned PUT signs, and that must be sent with it."""
    names = {
        "ServerSideEncryption": "x-amz-server-side-encryption",
        "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    }
    added = _parameters(demands)
    return {header: added[name] for name, header in names.items() if name in added}


# A presigned URL says who pays in its query, which browsers can follow, and what is sent to it
# stays for a day, for which no storage class is worth its price.
_NOT_PRESIGNED = {"RequestPayer", "StorageClass"}


def _parameters(demands: BucketDemands) -> dict[str, str]:
    all_of_them = {
        "ServerSideEncryption": demands.s3_sse,
        "SSEKMSKeyId": demands.s3_sse_kms_key_id,
        "StorageClass": demands.s3_storage_class,
        "RequestPayer": "requester" if demands.s3_requester_pays else "",
    }
    return {name: value for name, value in all_of_them.items() if value}


def _agree_in_the_url(request: Any, signature_version: str, **_: object) -> None:  # noqa: ANN401
    if signature_version.endswith("-query"):
        request.params = {**request.params, _PAYER: "requester"}


def _add_digest(params: dict[str, Any], **_: object) -> None:
    """Add Content-MD5 (RFC 1864) of a body, which is bytes or a file that can be read again."""
    body = params["body"]
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes | bytearray):
        digest.update(body)
    else:
        begin = body.tell()
        while block := body.read(_BLOCK):
            digest.update(block)
        body.seek(begin)
    params["headers"]["Content-MD5"] = base64.b64encode(digest.digest()).decode("ascii")

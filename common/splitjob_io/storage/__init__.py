"""The bucket: everything this project does with S3, in one class.

S3Service       the fifteen methods of docs/contract.md, section 6; four for manifests
                (`put_if_absent`, `put_if_unchanged`, `read_object`, `get_json`); `open_object` to
                pass one on; `list_page` for long listings; four for multipart uploads
StorageError    what went wrong, whether trying again may help; never a key or a signed URL

Works with AWS S3, R2, MinIO, LocalStack, versitygw; `client` says how. Each kind of work with the
bucket has a file of its own: reading, conditional writes, multipart uploads, presigned URLs.
"""

from splitjob_io.storage.client import BRIEF, PATIENT, Patience
from splitjob_io.storage.errors import StorageError
from splitjob_io.storage.multipart import UploadedPart
from splitjob_io.storage.objects import ObjectInfo, ObjectMetadata, OpenObject, StoredObject
from splitjob_io.storage.service import S3Service

__all__ = [
    "BRIEF",
    "PATIENT",
    "ObjectInfo",
    "ObjectMetadata",
    "OpenObject",
    "Patience",
    "S3Service",
    "StorageError",
    "StoredObject",
    "UploadedPart",
]

"""`track-tree-audio storage test`: try by hand whether this service can work with a bucket.

Every operation is done for real on a few small objects under a prefix of their own, which are
removed again at the end.
"""

import argparse
import base64
import hashlib
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
from pydantic import ValidationError

from splitjob.storage_settings import StorageSettings
from splitjob_io.bucket_advice import missing_settings, refused_certificate, spelled
from splitjob_io.certificates import certificate_problem
from splitjob_io.storage import S3Service, StorageError

CONTENT = b"track-tree-audio storage test\n"
TWO_PARTS = 9 * 1024 * 1024  # boto3 uploads in parts from 8 MiB on

HINTS = {
    "NoSuchBucket": "there is no bucket of that name: create it, or set S3_BUCKET",
    "InvalidAccessKeyId": "the storage does not know this key: check S3_ACCESS_KEY_ID",
    "XAdminUserNotFound": "the storage does not know this key: check S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret is not the key's own: check S3_SECRET_ACCESS_KEY",
    "AccessDenied": "these keys may not do this: extend their policy; or the bucket's own policy "
    "demands a key of KMS (S3_SSE_KMS_KEY_ID) or a storage class (S3_STORAGE_CLASS)",
    "EndpointConnectionError": "nothing answers at that address: check S3_ENDPOINT",
    "NoCredentialsError": "no keys were found: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
    "AuthorizationHeaderMalformed": "the storage expects another region: check S3_REGION",
    "NotImplemented": "this storage does not offer it",
}


class MismatchError(Exception):
    """The storage answered, but not with what had been stored."""


@dataclass
class Trial:
    """One bucket under test, and what was found so far.

    Attributes:
        missing: the settings without which it cannot be used, as one sets them.
    """

    storage: S3Service
    prefix: str
    folder: Path
    failed_required: list[str] = field(default_factory=list)
    failed_optional: list[str] = field(default_factory=list)
    missing: str = ""

    def key(self, name: str) -> str:
        """Return the full key of a test object."""
        return f"{self.prefix}/{name}"

    def check(self, name: str, operation: Callable[[], None], needed_for: str) -> bool:
        """Do one operation, print what came of it; blank `needed_for` means optional."""
        try:
            operation()
        except (StorageError, MismatchError, httpx.HTTPError) as error:
            kind = f"needed for {needed_for}" if needed_for else "not needed by the service"
            print(f"  FAILED  {name} ({kind})\n          {explain(error)}")
            (self.failed_required if needed_for else self.failed_optional).append(name)
            return False
        print(f"  works   {name}")
        return True

    def needs(self, attempt: Callable[[S3Service], None]) -> bool:
        """Find the settings with which something works, and go on with them; False: none do."""
        found = missing_settings(self.storage, attempt)
        if found is None:
            return False
        self.missing = " and ".join(filter(None, (self.missing, spelled(found))))
        settings = self.storage.settings.model_copy(update=dict(found))
        self.storage = S3Service(settings, self.storage.bucket)
        print(f"  needs   {spelled(found)}\n          The rest is tried with it.")
        return True


def main(argv: Sequence[str]) -> int:
    """Run `track-tree-audio storage`; 0: all that is needed works, 1: it does not, 2: usage."""
    arguments = _parser().parse_args(argv)
    try:
        storage = S3Service(StorageSettings(), arguments.bucket)
    except (StorageError, ValidationError) as error:
        print(f"storage: {explain(error)}", file=sys.stderr)
        return 2
    place = storage.settings.s3_endpoint or f"AWS, region {storage.settings.s3_region}"
    print(f"Bucket {storage.bucket} at {place}")
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(storage, f"storage-test/{uuid.uuid4()}", Path(folder))
        if not _is_reached(trial):
            return 1
        try:
            run_checks(trial)
        finally:
            _clean_up(trial)
    return verdict(trial)


def run_checks(trial: Trial) -> None:
    """Try each operation on a bucket that was reached."""
    if not trial.check("write an object", lambda: _write(trial.storage, trial), "everything"):
        trial.needs(lambda storage: _write(storage, trial))
    for name, operation, needed_for in (
        ("upload a file", _upload_file, "stems"),
        ("upload a file in parts", _upload_parts, "stems above 8 MiB"),
        ("upload parts, the first one last", _upload_first_part_last, "stems above 16 MiB"),
        ("upload from memory", _upload_fileobj, "stems"),
        ("see that an object is there", _exists, "stems"),
        ("read size and type of an object", _metadata, "stems"),
        ("read an object", _get_object, "manifests"),
        ("download a file", _download, "stems"),
        ("list objects", _list, "looking after the bucket"),
        ("write only if absent, twice", _put_if_absent, "manifests: one verdict for each job"),
        ("write only over what was read", _put_if_unchanged, "manifests: one verdict for each job"),
        ("presigned download", _presigned_get, "GET /jobs/{id}/stems/{stem}"),
        ("presigned upload", _presigned_put, "callers that upload to their own URLs"),
        ("presigned upload of one size, once", _presigned_new, "POST /uploads"),
        ("copy an object", _copy, ""),
        ("tags", _tags, ""),
        ("delete an object", _delete, "looking after the bucket"),
        ("delete several objects", _delete_objects, "looking after the bucket"),
    ):
        trial.check(name, lambda operation=operation: operation(trial), needed_for)  # type: ignore[misc]


def verdict(trial: Trial) -> int:
    """Print what it all means; return the exit status."""
    if trial.missing:
        print(f"\nThis bucket cannot be used yet: set {trial.missing}.")
        return 1
    if trial.failed_required:
        print(f"\nThis bucket cannot be used yet: {', '.join(trial.failed_required)}.")
        return 1
    if trial.failed_optional:
        print(f"\nThis bucket can be used. Missing, but not needed: {trial.failed_optional[0]}.")
        return 0
    print("\nThis bucket can be used.")
    return 0


def explain(error: Exception) -> str:
    """Return what went wrong and what to do, in words."""
    if isinstance(error, ValidationError):
        return "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
    if isinstance(error, httpx.HTTPError):
        why = certificate_problem(error, error.request.url.host) or type(error).__name__
        return f"the signed URL was not answered: {why}"
    hint = HINTS.get(error.code, "") if isinstance(error, StorageError) else ""
    if isinstance(error, StorageError) and error.status == 403 and not hint:
        hint = HINTS["AccessDenied"]
    return f"{error}: {hint}" if hint else str(error)


def _is_reached(trial: Trial) -> bool:
    def reach(storage: S3Service) -> None:
        storage.list_page(trial.prefix)  # unlike HEAD, its refusal says why

    reached = trial.check("reach the bucket", lambda: reach(trial.storage), "everything")
    if not reached and (refused := refused_certificate(trial.storage.settings.s3_endpoint)):
        print(f"          {refused}")
        return False
    return reached or trial.needs(reach)


def _write(storage: S3Service, trial: Trial) -> None:
    storage.upload_fileobj(BytesIO(CONTENT), trial.key("first"))


def _upload_file(trial: Trial) -> None:
    file = trial.folder / "small"
    file.write_bytes(CONTENT)
    trial.storage.upload_file(file, trial.key("small"), "text/plain")


def _upload_parts(trial: Trial) -> None:
    file = trial.folder / "large"
    file.write_bytes(bytes(TWO_PARTS))
    trial.storage.upload_file(file, trial.key("large"))
    _expect(trial.storage.get_object_metadata(trial.key("large"))["size"], TWO_PARTS)


def _upload_first_part_last(trial: Trial) -> None:
    key = trial.key("parts")
    upload = trial.storage.create_multipart_upload(key)
    first, last = bytes(TWO_PARTS - len(CONTENT)), CONTENT
    parts = {2: trial.storage.upload_part(key, upload, 2, last)}
    parts[1] = trial.storage.upload_part(key, upload, 1, first)
    trial.storage.complete_multipart_upload(key, upload, parts)
    _expect(trial.storage.get_object_metadata(key)["size"], TWO_PARTS)
    upload = trial.storage.create_multipart_upload(key)
    trial.storage.upload_part(key, upload, 1, CONTENT)
    trial.storage.abort_multipart_upload(key, upload)


def _upload_fileobj(trial: Trial) -> None:
    trial.storage.upload_fileobj(BytesIO(CONTENT), trial.key("memory"))


def _exists(trial: Trial) -> None:
    _expect(trial.storage.file_exists(trial.key("small")), True)
    _expect(trial.storage.file_exists(trial.key("never-written")), False)


def _metadata(trial: Trial) -> None:
    found = trial.storage.get_object_metadata(trial.key("small"))
    _expect((found["size"], found["content_type"]), (len(CONTENT), "text/plain"))


def _get_object(trial: Trial) -> None:
    _expect(trial.storage.get_object(trial.key("small")), CONTENT)
    _expect(trial.storage.get_json(trial.key("never-written")), None)


def _download(trial: Trial) -> None:
    path = trial.storage.download_file(trial.key("small"), trial.folder / "back")
    _expect(Path(path).read_bytes(), CONTENT)


def _list(trial: Trial) -> None:
    keys = [one["key"] for one in trial.storage.list_objects(trial.prefix)]
    if trial.key("small") not in keys:
        raise MismatchError("the listing does not name an object that was just written")


def _put_if_absent(trial: Trial) -> None:
    key = trial.key("once.json")
    _expect(trial.storage.put_if_absent(key, b'{"first": true}'), True)
    if trial.storage.put_if_absent(key, b'{"first": false}'):
        raise MismatchError("a second write went through although the object was there")
    _expect(trial.storage.get_json(key), {"first": True})


def _put_if_unchanged(trial: Trial) -> None:
    key = trial.key("changed.json")
    trial.storage.put_if_absent(key, b'{"first": true}')
    read = trial.storage.read_object(key)
    if read is None:
        raise MismatchError("an object that was just written is not there")
    _expect(trial.storage.put_if_unchanged(key, b'{"second": true}', read.etag), True)
    if trial.storage.put_if_unchanged(key, b'{"third": true}', read.etag):
        raise MismatchError(
            "a write went through although the object had changed since it was read"
        )
    _expect(trial.storage.get_json(key), {"second": True})


def _presigned_get(trial: Trial) -> None:
    answer = httpx.get(trial.storage.generate_presigned_get_url(trial.key("small"), 60))
    _expect((answer.status_code, answer.content), (200, CONTENT))


def _presigned_put(trial: Trial) -> None:
    url = trial.storage.generate_presigned_put_url(trial.key("put"), 60)
    _expect(httpx.put(url, content=CONTENT, headers=_signed(trial)).status_code, 200)
    _expect(trial.storage.get_object(trial.key("put")), CONTENT)


def _signed(trial: Trial) -> dict[str, str]:
    """Return what a PUT of the content to a presigned URL must carry."""
    digest = hashlib.md5(CONTENT, usedforsecurity=False).digest()
    content_md5 = base64.b64encode(digest).decode("ascii")  # as Object Lock demands
    return {**trial.storage.upload_headers, "Content-MD5": content_md5}


def _presigned_new(trial: Trial) -> None:
    url = trial.storage.generate_presigned_put_url(
        trial.key("new"), 60, content_length=len(CONTENT), if_absent=True
    )
    once = {"If-None-Match": "*", **_signed(trial)}
    longer = httpx.put(url, content=CONTENT + CONTENT, headers=once)
    if longer.is_success:
        raise MismatchError("it took another size than the one that was signed")
    _expect(httpx.put(url, content=CONTENT, headers=once).status_code, 200)
    if httpx.put(url, content=CONTENT, headers=once).is_success:
        raise MismatchError("a second upload went through although the object was there")


def _copy(trial: Trial) -> None:
    trial.storage.copy_object(trial.key("small"), trial.key("copy"))
    _expect(trial.storage.get_object(trial.key("copy")), CONTENT)


def _tags(trial: Trial) -> None:
    trial.storage.set_object_tags(trial.key("small"), {"kind": "test"})
    _expect(trial.storage.get_object_tags(trial.key("small")), {"kind": "test"})


def _delete(trial: Trial) -> None:
    trial.storage.delete_file(trial.key("small"))
    _expect(trial.storage.file_exists(trial.key("small")), False)


def _delete_objects(trial: Trial) -> None:
    trial.storage.delete_objects([trial.key("memory"), trial.key("copy"), trial.key("put")])
    _expect(trial.storage.file_exists(trial.key("memory")), False)


def _clean_up(trial: Trial) -> None:
    try:
        left = [one["key"] for one in trial.storage.list_objects(trial.prefix)]
        trial.storage.delete_objects(left)
    except StorageError as error:
        print(f"  note    test objects are left under {trial.prefix}: {error}")


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise MismatchError("the storage did not give back what had been stored")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="track-tree-audio storage",
        description="Try whether this service can work with a bucket. The settings are the "
        "service's own: S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, "
        "S3_SECRET_ACCESS_KEY and, for buckets that demand more, S3_ADDRESSING_STYLE, S3_CHECKSUM, "
        "S3_SSE, S3_SSE_KMS_KEY_ID, S3_STORAGE_CLASS, S3_REQUESTER_PAYS; ENVIRONMENT=local means "
        "LocalStack at http://localhost:4566.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    test = commands.add_parser("test", help="try every operation on a bucket, and clean up again")
    test.add_argument("--bucket", default="", help="another bucket than S3_BUCKET")
    return parser

"""Which bucket, where, with which keys: from the environment."""

import re
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["STORAGE_PREFIX_PATTERN", "BucketDemands", "StorageSettings"]

_SEGMENT = r"[A-Za-z0-9!_*()-][A-Za-z0-9!_.*()-]*"
STORAGE_PREFIX_PATTERN = f"^({_SEGMENT}(/{_SEGMENT})*)?$"
LOCALSTACK = "http://localhost:4566"
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(/[^?#\s]*)?")
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:/_.-]+")  # what botocore takes


_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


class BucketDemands(BaseSettings):
    """How a bucket wants to be asked, where the usual way is refused.

    Attributes:
        s3_addressing_style: whether the bucket's name is in the path or the host; `auto`: in the
            path where there is an endpoint, else as AWS wants it.
        s3_checksum: sent with all that is written, as Object Lock demands: Content-MD5, which
            every S3 knows, or a checksum of the newer kinds.
        s3_sse: the encryption asked for with each object; blank: as the bucket does by itself.
        s3_sse_kms_key_id: the key for `aws:kms`; blank: the account's own.
        s3_storage_class: of what is written; blank: as the bucket does by itself.
        s3_requester_pays: whether to agree to pay for requests.
    """

    model_config = SettingsConfigDict(extra="ignore")

    s3_addressing_style: Literal["auto", "path", "virtual"] = "auto"
    s3_checksum: Literal["md5", "crc32", "sha256"] = "md5"
    s3_sse: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = ""
    s3_sse_kms_key_id: str = Field(default="", max_length=2048, pattern=r"^[A-Za-z0-9:/_.@-]*$")
    s3_storage_class: str = Field(default="", max_length=64, pattern=r"^[A-Z0-9_]*$")
    s3_requester_pays: bool = False

    @field_validator("s3_storage_class")
    @classmethod
    def _readable_at_once(cls, value: str) -> str:
        if value in _ARCHIVES:
            raise ValueError("must be one that can be read at once: manifests are read again")
        return value

    @model_validator(mode="after")
    def _key_of_an_encryption(self) -> Self:
        if self.s3_sse_kms_key_id and not self.s3_sse.startswith("aws:kms"):
            raise ValueError("S3_SSE_KMS_KEY_ID is used with S3_SSE aws:kms alone: set both")
        return self

    def demands(self) -> dict[str, str]:
        """Return the variables that say the same, without those at their defaults."""
        fields = BucketDemands.model_fields
        given = {name: getattr(self, name) for name in fields}
        return {
            name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in given.items()
            if value != fields[name].default
        }


class StorageSettings(BucketDemands):
    """Where the bucket is, from the variables of docs/contract.md, section 5.

    Attributes:
        environment: `local` makes LocalStack's address the default endpoint.
        s3_endpoint: blank: AWS, or LocalStack where `environment` is `local`.
        s3_region: as the endpoint expects it; R2 wants `auto`.
        s3_bucket: the bucket of stems and manifests.
        s3_access_key_id, s3_secret_access_key: both blank: the standard credential chain (IAM
            role, workload identity, `~/.aws`).

    White space around a value is dropped: `kubectl create secret --from-file` takes the newline at
    a file's end along.
    """

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    environment: str = "local"
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_bucket: str = ""
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")

    @field_validator("*", mode="before")
    @classmethod
    def _stripped(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("s3_access_key_id", "s3_secret_access_key")
    @classmethod
    def _one_word(cls, value: str | SecretStr) -> str | SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if any(character.isspace() or not character.isprintable() for character in text):
            raise ValueError("holds white space: the key alone, in one line, belongs there")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not _ENDPOINT.fullmatch(value):
            raise ValueError("must be a URL such as https://s3.example.com, or blank for AWS")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _bucket_name(cls, value: str) -> str:
        if value and not _BUCKET.fullmatch(value):
            raise ValueError("must be the name of a bucket alone, such as my-stems")
        return value

    @model_validator(mode="after")
    def _local_defaults(self) -> "StorageSettings":
        has_secret = bool(self.s3_secret_access_key.get_secret_value())
        if bool(self.s3_access_key_id) != has_secret:
            raise ValueError("set both S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or neither")
        if self.environment == "local" and not self.s3_endpoint:
            self.s3_endpoint = LOCALSTACK
            if not has_secret:  # LocalStack takes any keys, but wants some
                self.s3_access_key_id, self.s3_secret_access_key = "test", SecretStr("test")
        return self

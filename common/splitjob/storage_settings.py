"""Which bucket, where, with which keys: from the environment."""

import re

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["STORAGE_PREFIX_PATTERN", "StorageSettings"]

_SEGMENT = r"[A-Za-z0-9!_*()-][A-Za-z0-9!_.*()-]*"
STORAGE_PREFIX_PATTERN = f"^({_SEGMENT}(/{_SEGMENT})*)?$"
LOCALSTACK = "http://localhost:4566"
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(/[^?#\s]*)?")
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[A-Za-z0-9:/_.-]+")  # what botocore takes


class StorageSettings(BaseSettings):
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

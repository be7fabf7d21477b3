"""The worker's settings: the environment of its container (`splitjob.workload`)."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from splitjob.addresses import Network, parse_networks
from splitjob.allowlist import DEFAULT_ALLOWLIST
from splitjob.egress import Egress, EgressProxies
from splitjob.errors import ErrorCode, Failure
from splitjob.spec import Location, Request, Upload
from splitjob.upload_policy import decode_headers
from splitjob.workload import (
    ENV_ALLOWED_PRIVATE_ADDRESSES,
    ENV_ATTEMPT,
    ENV_CHECKPOINT_MIN_SECONDS,
    ENV_DEVICE,
    ENV_EARLIER_SECONDS,
    ENV_GRACE_SECONDS,
    ENV_JOB_ID,
    ENV_JOB_UID,
    ENV_MAX_AUDIO_SECONDS,
    ENV_MAX_LOST_PERCENT,
    ENV_MAX_SOURCE_BYTES,
    ENV_MODEL_DIR,
    ENV_MODEL_REGISTRY,
    ENV_PRECISION,
    ENV_REQUEST,
    ENV_SCRATCH_BYTES,
    ENV_SCRATCH_DIR,
    ENV_SECRET_DIR,
    ENV_STORAGE_PREFIX,
    ENV_TERMINATION_MESSAGE,
    SECRET_KEY_HEADERS,
    identity_of,
)


class WorkerSettings(BaseModel):
    """The worker's settings; see `splitjob.workload` for what each means."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    job_id: str = Field(alias=ENV_JOB_ID)
    job_uid: str = Field(alias=ENV_JOB_UID)
    attempt: int = Field(default=1, ge=1, alias=ENV_ATTEMPT)
    earlier_seconds: float = Field(default=0, ge=0, allow_inf_nan=False, alias=ENV_EARLIER_SECONDS)
    request: Request = Field(alias=ENV_REQUEST)

    secret_dir: Path | None = Field(default=None, alias=ENV_SECRET_DIR)
    scratch_dir: Path = Field(alias=ENV_SCRATCH_DIR)
    scratch_bytes: int | None = Field(default=None, ge=1, alias=ENV_SCRATCH_BYTES)
    model_dir: Path | None = Field(default=None, alias=ENV_MODEL_DIR)
    model_registry: Path | None = Field(default=None, alias=ENV_MODEL_REGISTRY)
    termination_message_path: Path | None = Field(default=None, alias=ENV_TERMINATION_MESSAGE)

    device: Literal["cpu", "cuda", "mps"] = Field(default="cpu", alias=ENV_DEVICE)
    precision: Literal["ieee", "tf32", "fp16", "bf16"] = Field(default="ieee", alias=ENV_PRECISION)
    storage_prefix: str = Field(default="", alias=ENV_STORAGE_PREFIX)
    max_audio_seconds: int = Field(default=3600, ge=1, alias=ENV_MAX_AUDIO_SECONDS)
    max_lost_percent: int = Field(default=5, ge=0, le=100, alias=ENV_MAX_LOST_PERCENT)
    max_source_bytes: int = Field(default=2 << 30, ge=1, alias=ENV_MAX_SOURCE_BYTES)
    checkpoint_min_seconds: int = Field(default=180, ge=0, alias=ENV_CHECKPOINT_MIN_SECONDS)
    grace_seconds: int = Field(default=30, ge=0, alias=ENV_GRACE_SECONDS)
    allowed_networks: tuple[Network, ...] = Field(default=(), alias=ENV_ALLOWED_PRIVATE_ADDRESSES)

    proxies: EgressProxies = EgressProxies()

    environment: str = Field(default="local", alias="ENVIRONMENT")
    token: SecretStr = Field(default=SecretStr(""), alias="DEMUCSSVC_TOKEN")
    webhook_allowlist: str = Field(default=DEFAULT_ALLOWLIST, alias="API_WEBHOOK_URL_ALLOWLIST")

    @property
    def local(self) -> bool:
        """Whether http sources and receivers on this machine are allowed."""
        return self.environment == "local"

    @property
    def egress(self) -> Egress:
        """How sources, receivers and the caller's own storage are reached."""
        return Egress(self.allowed_networks, self.proxies)

    @property
    def identity(self) -> str:
        """What receivers know the job by."""
        return identity_of(self.job_id, self.job_uid, self.request.submission_id)

    @field_validator("request", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return parse_networks(value) if isinstance(value, str) else value

    def url_of(self, location: Location) -> str:
        """Return a location's whole URL, query included.

        Raises:
            Failure: `worker_config`: the Secret does not hold it.
        """
        if location.secret_key is None:
            return location.url
        return self._secret(location.secret_key).strip()

    def headers_of(self, name: str, upload: Upload) -> dict[str, str]:
        """Return the headers to send with an upload, by name.

        Args:
            name: of the upload: a stem's, or `manifest`.
            upload: as the request has it.

        Raises:
            Failure: `worker_config`: the Secret does not hold them.
        """
        if not upload.headers:
            return {}
        key = SECRET_KEY_HEADERS + name
        headers = decode_headers(self._secret(key))
        if headers is None:
            raise Failure(
                ErrorCode.WORKER_CONFIG, f"the key {key!r} of this job's Secret holds no headers"
            )
        return headers

    def _secret(self, key: str) -> str:
        try:
            if self.secret_dir is None:
                raise FileNotFoundError
            return (self.secret_dir / key).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Failure(
                ErrorCode.WORKER_CONFIG, f"the key {key!r} of this job's Secret cannot be read"
            ) from None


def load(environment: Mapping[str, str] | None = None) -> WorkerSettings:
    """Read the settings.

    Args:
        environment: the variables; by default those of the process.

    Raises:
        Failure: `worker_config`: a variable is missing or wrong; the message names it, without
            its value.
    """
    given = os.environ if environment is None else environment
    values = {name: value for name, value in given.items() if value != ""}
    try:
        proxies = EgressProxies.from_environment(values)
    except ValueError as error:
        raise Failure(ErrorCode.WORKER_CONFIG, str(error)) from None
    try:
        return WorkerSettings.model_validate({**values, "proxies": proxies})
    except ValidationError as error:
        names = sorted({str(one["loc"][0]) for one in error.errors()})
        raise Failure(
            ErrorCode.WORKER_CONFIG, f"these variables are missing or wrong: {', '.join(names)}"
        ) from None

"""The API's settings, read from the environment once, at start."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from splitjob.configuration import read_settings
from splitjob.inputs import Inputs
from splitjob.service_settings import SERVICE_CHECKS, ServiceSettings
from splitjob.storage_settings import STORAGE_PREFIX_PATTERN, BucketDemands, StorageSettings


class Settings(ServiceSettings, BucketDemands):
    """Everything that an installation can set. Environment variables have the upper-case names."""

    model_config = SettingsConfigDict(frozen=True)

    host: str = Field(default="::", description="Address to listen on; ::: all there are.")
    port: int = Field(default=8080, ge=1, le=65535)
    namespace: str = Field(default="", description="Blank: that of the service account.")
    totals_configmap: str = Field(
        default="track-tree-audio-totals", description="Where the operator counts finished jobs."
    )
    max_queued_jobs: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Jobs that may wait before new ones get 429; 0: no limit.",
    )
    max_active_jobs: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Jobs at once, as the operator has it, for people to see; 0: no limit.",
    )
    paused: bool = Field(
        default=False, description="Whether nothing new is started, as the operator has it."
    )
    max_streams: int = Field(
        default=700, ge=1, le=50_000, description="Open streams of events; more get 503."
    )
    queue_status_public: bool = Field(
        default=False, description="Whether GET /queue/status needs no signature."
    )
    console_enabled: bool = Field(default=True, description="Whether the console is at /console.")
    kubernetes_tokens: bool = Field(
        default=False, description="Whether Kubernetes tokens are taken in a signature's place."
    )
    kubernetes_token_audience: str = Field(
        default="track-tree-audio",
        max_length=256,
        pattern=r"^[!-~]*$",
        description="Whom these tokens must be for; blank: the API server itself.",
    )
    rate_limit_per_second: float = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Requests a second of one caller at this process; 0: no limit.",
    )
    rate_limit_burst: int = Field(
        default=50, ge=1, le=100_000, description="Requests that one caller may send at once."
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="How long a connection stays open between two requests.",
    )
    slow_reader_seconds: float = Field(
        default=30,
        ge=1,
        le=3600,
        description="In which a client must take 16 KiB of an answer, or the rest of it.",
    )
    root_path: str = Field(
        default="",
        max_length=256,
        pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$",
        description="The prefix of paths that a gateway strips; Location and links have it.",
    )
    body_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="Time for a whole body to arrive."
    )
    shutdown_grace_seconds: int = Field(
        default=20, ge=0, description="Time for requests under way when told to stop."
    )

    # The bucket, for presigned URLs: as splitjob.storage_settings reads it, with its keys.
    s3_endpoint: str = ""
    s3_read_endpoint: str = Field(
        default="",
        pattern=r"^\s*(https?://[^?#\s]+)?\s*$",
        description="Where this API reads waveforms and manifests itself; blank: S3_ENDPOINT.",
    )
    s3_region: str = "us-east-1"
    s3_bucket: str = Field(default="", description="Blank: this API signs no URLs.")
    download_url_seconds: int = Field(
        default=900, ge=60, le=43200, description="How long a presigned URL of a stem lasts."
    )
    uploads_enabled: bool = Field(
        default=False, description="Whether POST /uploads gives URLs to send files to."
    )
    upload_url_seconds: int = Field(
        default=900, ge=60, le=43200, description="How long such a URL lasts."
    )
    storage_prefix: str = Field(
        default="",
        max_length=256,
        pattern=STORAGE_PREFIX_PATTERN,
        description="What all keys of this installation begin with.",
    )
    max_source_bytes: int = Field(default=2 << 30, ge=1, description="Of a file that is sent.")

    def inputs(self) -> Inputs | None:
        """Return where the files from POST /uploads are; None: this installation takes none."""
        if not (self.uploads_enabled and self.s3_bucket):
            return None
        return Inputs(self.s3_bucket, self.storage_prefix)

    @classmethod
    def from_environment(cls) -> "Settings":
        """Return the settings of this process.

        Raises:
            splitjob.configuration.ConfigurationError: some cannot be used, or there is no token.
        """
        return read_settings(cls, SERVICE_CHECKS, [StorageSettings])

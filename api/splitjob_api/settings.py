"""The API's settings, read from the environment once, at start."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from splitjob.configuration import read_settings
from splitjob.service_settings import SERVICE_CHECKS, ServiceSettings


class Settings(ServiceSettings):
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
    max_streams: int = Field(
        default=700, ge=1, le=50_000, description="Open streams of events; more get 503."
    )
    queue_status_public: bool = Field(
        default=False, description="Whether GET /queue/status needs no signature."
    )
    console_enabled: bool = Field(default=True, description="Whether the console is at /console.")
    body_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="Time for a whole body to arrive."
    )
    shutdown_grace_seconds: int = Field(
        default=20, ge=0, description="Time for requests under way when told to stop."
    )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Return the settings of this process.

        Raises:
            splitjob.configuration.ConfigurationError: some cannot be used, or there is no token.
        """
        return read_settings(cls, SERVICE_CHECKS)

"""The API's settings, read from the environment once, at start."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from splitjob.addresses import Network, parse_networks
from splitjob.allowlist import DEFAULT_ALLOWLIST, Allowlist
from splitjob.checks import Rules
from splitjob.models import RegistryError, load_registry, offered
from splitjob.signing import parse_tokens


class SettingsInvalid(ValueError):  # noqa: N818 - reads as what is wrong
    """The process must not start; the message says which variable to set, and to what."""


class Settings(BaseSettings):
    """Everything that an installation can set. Environment variables have the upper-case names."""

    model_config = SettingsConfigDict(hide_input_in_errors=True, extra="ignore", frozen=True)

    environment: Literal["local", "prod"] = Field(
        default="local", description="`local` allows http to this machine."
    )
    release: str = Field(default="", description="The Helm release this belongs to.")
    host: str = Field(default="::", description="Address to listen on; ::: all there are.")
    port: int = Field(default=8080, ge=1, le=65535)
    demucssvc_token: SecretStr = Field(
        default=SecretStr(""), description="Tokens of callers, separated by commas."
    )
    api_webhook_url_allowlist: str = DEFAULT_ALLOWLIST
    namespace: str = Field(default="", description="Blank: that of the service account.")
    totals_configmap: str = Field(
        default="track-tree-audio-totals", description="Where the operator counts finished jobs."
    )
    release: str = Field(
        default="", description="This installation's name; blank: it is the only one it knows of."
    )
    model_registry: Path | None = Field(default=None, description="Blank: the built-in registry.")
    models: str = Field(
        default="", description="Names of the models offered, separated by commas; blank: all."
    )
    source_allowed_networks: str = Field(
        default="", description="CIDRs exempt from the address rules, separated by commas."
    )
    max_queued_jobs: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Jobs that may wait before new ones get 429; 0: no limit.",
    )
    queue_status_public: bool = Field(
        default=False, description="Whether GET /queue/status needs no signature."
    )
    body_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="Time for a whole body to arrive."
    )
    shutdown_grace_seconds: int = Field(
        default=20, ge=0, description="Time for requests under way when told to stop."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("model_registry", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @classmethod
    def from_environment(cls) -> "Settings":
        """Return the settings of this process.

        Raises:
            SettingsInvalid: one of them cannot be used, or there is no token.
        """
        try:
            settings = cls()
            parse_tokens(settings.demucssvc_token.get_secret_value())
            settings.rules()
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsInvalid(f"{name}: {first['msg']}") from None
        except (ValueError, RegistryError) as error:
            raise SettingsInvalid(str(error)) from None
        return settings

    @property
    def local(self) -> bool:
        """Whether this is ENVIRONMENT=local."""
        return self.environment == "local"

    def rules(self) -> Rules:
        """Return what this installation allows.

        Raises:
            ValueError: the allowlist or the networks cannot be read.
            splitjob.models.RegistryError: the registry cannot, or has not the models offered.
        """
        return Rules(
            allowlist=Allowlist.parse(self.api_webhook_url_allowlist, local=self.local),
            registry=offered(load_registry(self.model_registry), self.models),
            local=self.local,
            networks=self._networks(),
        )

    def _networks(self) -> tuple[Network, ...]:
        try:
            return parse_networks(self.source_allowed_networks)
        except ValueError as error:
            raise ValueError(f"SOURCE_ALLOWED_NETWORKS: {error}") from None

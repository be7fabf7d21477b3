"""The API's settings, read from the environment once, at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from splitjob.addresses import Network, parse_networks
from splitjob.allowlist import DEFAULT_ALLOWLIST, Allowlist
from splitjob.configuration import read_settings
from splitjob.models import ModelRecord, load_registry, offered
from splitjob.request_policy import Rules
from splitjob.signing import parse_tokens


class Settings(BaseSettings):
    """Everything that an installation can set. Environment variables have the upper-case names."""

    model_config = SettingsConfigDict(hide_input_in_errors=True, extra="ignore", frozen=True)

    environment: Literal["local", "prod"] = Field(
        default="local", description="`local` allows http to this machine."
    )
    release: str = Field(default="", description="The Helm release this belongs to.")
    host: str = Field(default="::", description="Address to listen on; ::: all there are.")
    port: int = Field(default=8080, ge=1, le=65535)
    secret_name: str = Field(default="", description="The Secret of the token, for messages.")
    secret_keys: str = Field(default="", description="What its keys are called, for messages.")
    demucssvc_token: SecretStr = Field(
        default=SecretStr(""), description="Tokens of callers, separated by commas."
    )
    api_webhook_url_allowlist: str = DEFAULT_ALLOWLIST
    namespace: str = Field(default="", description="Blank: that of the service account.")
    totals_configmap: str = Field(
        default="track-tree-audio-totals", description="Where the operator counts finished jobs."
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
            splitjob.configuration.ConfigurationError: some cannot be used, or there is no token.
        """
        checks = {
            "DEMUCSSVC_TOKEN": lambda found: parse_tokens(found.demucssvc_token.get_secret_value()),
            "API_WEBHOOK_URL_ALLOWLIST": cls._allowlist,
            "SOURCE_ALLOWED_NETWORKS": cls._networks,
            "MODEL_REGISTRY": cls._registry,
        }
        return read_settings(cls, checks)

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
            allowlist=self._allowlist(),
            registry=self._registry(),
            local=self.local,
            networks=self._networks(),
        )

    def _allowlist(self) -> Allowlist:
        return Allowlist.parse(self.api_webhook_url_allowlist, local=self.local)

    def _registry(self) -> Mapping[str, ModelRecord]:
        return offered(load_registry(self.model_registry), self.models)

    def _networks(self) -> tuple[Network, ...]:
        return parse_networks(self.source_allowed_networks)

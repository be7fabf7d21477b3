"""The settings that API and operator have alike: who may call, and what they may ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from splitjob.addresses import Network, parse_networks
from splitjob.allowlist import DEFAULT_ALLOWLIST, Allowlist
from splitjob.egress import Egress, EgressProxies
from splitjob.inputs import Inputs
from splitjob.models import ModelRecord, load_registry, offered
from splitjob.request_policy import RequestPolicy
from splitjob.signing import parse_tokens

__all__ = ["SERVICE_CHECKS", "ServiceSettings"]


class ServiceSettings(BaseSettings):
    """What both are told by the same environment variables."""

    model_config = SettingsConfigDict(hide_input_in_errors=True, extra="ignore")

    environment: Literal["local", "prod"] = Field(
        default="local", description="`local` allows http to this machine."
    )
    release: str = Field(default="", description="The Helm release this belongs to.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    secret_name: str = Field(default="", description="The Secret of the token, for messages.")
    secret_keys: str = Field(default="", description="What its keys are called, for messages.")
    demucssvc_token: SecretStr = Field(
        default=SecretStr(""), description="Tokens of callers, separated by commas; see `tokens`."
    )
    api_webhook_url_allowlist: str = Field(
        default=DEFAULT_ALLOWLIST, description="Where webhooks may go; see `splitjob.allowlist`."
    )
    source_allowed_networks: str = Field(
        default="", description="CIDRs exempt from the address rules, separated by commas."
    )
    http_proxy: SecretStr = Field(default=SecretStr(""), description="See `splitjob.egress`.")
    https_proxy: SecretStr = Field(default=SecretStr(""), description="May hold a password.")
    no_proxy: str = Field(default="", description="What is reached without a proxy.")
    proxy_resolves_names: bool = Field(
        default=False, description="Ask proxies for names, not for addresses that were checked."
    )
    model_registry: Path | None = Field(default=None, description="Blank: the built-in registry.")
    models: str = Field(
        default="", description="Names of the models offered, separated by commas; blank: all."
    )

    @field_validator("model_registry", mode="before")
    @classmethod
    def _blank_registry_is_none(cls, value: object) -> object:
        return None if value in ("", b"") else value

    @property
    def tokens(self) -> list[str]:
        """The active tokens, the signing one first.

        Raises:
            splitjob.signing.TokenError: there is none, or one cannot be used.
        """
        return parse_tokens(self.demucssvc_token.get_secret_value())

    def allowlist(self) -> Allowlist:
        """Return where webhooks may go.

        Raises:
            ValueError: it cannot be read.
        """
        return Allowlist.parse(self.api_webhook_url_allowlist, local=self.environment == "local")

    def networks(self) -> tuple[Network, ...]:
        """Return the networks that are exempt from the address rules.

        Raises:
            ValueError: they cannot be read.
        """
        return parse_networks(self.source_allowed_networks)

    def egress(self) -> Egress:
        """Return how receivers of webhooks are reached.

        Raises:
            ValueError: a network or a proxy cannot be read.
        """
        return Egress(self.networks(), self.proxies())

    def proxies(self) -> EgressProxies:
        """Return the proxies that lead outside.

        Raises:
            ValueError: one of them cannot be read.
        """
        return EgressProxies.from_environment(
            {
                "HTTP_PROXY": self.http_proxy.get_secret_value(),
                "HTTPS_PROXY": self.https_proxy.get_secret_value(),
                "NO_PROXY": self.no_proxy,
                "PROXY_RESOLVES_NAMES": str(self.proxy_resolves_names),
            }
        )

    def registry(self) -> Mapping[str, ModelRecord]:
        """Return the models offered, by name.

        Raises:
            splitjob.models.RegistryError: the registry cannot be read, or has not the models
                offered.
        """
        return offered(load_registry(self.model_registry), self.models)

    def inputs(self) -> Inputs | None:
        """Return where the files from POST /uploads are; None: this program knows of none."""
        return None

    def request_policy(self) -> RequestPolicy:
        """Return what this installation allows; it raises as the parts it is made of do."""
        return RequestPolicy(
            allowlist=self.allowlist(),
            registry=self.registry(),
            local=self.environment == "local",
            networks=self.networks(),
            inputs=self.inputs(),
        )


# For `splitjob.configuration.read_settings`: what a setting must be fit for beyond its type.
SERVICE_CHECKS = {
    "DEMUCSSVC_TOKEN": lambda found: found.tokens,
    "API_WEBHOOK_URL_ALLOWLIST": ServiceSettings.allowlist,
    "SOURCE_ALLOWED_NETWORKS": ServiceSettings.networks,
    "HTTPS_PROXY": ServiceSettings.proxies,
    "MODEL_REGISTRY": ServiceSettings.registry,
}

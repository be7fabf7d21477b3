"""Tokens that can be none are refused before anything is sent."""

import pytest
from tests.support.client_caller import Caller

from splitjob_client import (
    KubernetesToken,
    SettingsError,
)


@pytest.mark.parametrize("credentials", ["", " ", "a,,b", "whsec_%"])
def test_a_token_that_is_none(caller: Caller, credentials: str) -> None:
    with pytest.raises(SettingsError, match=r"(?i)token"):
        caller.ask("https://a", "models", credentials=credentials)


@pytest.mark.parametrize("token", ["", "two\nlines", "Größe", "two words"])
def test_a_token_of_the_cluster_that_is_none(token: str) -> None:
    with pytest.raises(SettingsError, match="Kubernetes token"):
        KubernetesToken(token)

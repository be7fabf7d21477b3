"""How a program finds and signs in to the API server from inside a pod."""

from pathlib import Path

import pytest

from splitjob_kube import service_account
from splitjob_kube.client import ClientPolicy, KubernetesClient
from splitjob_kube.connection import Connection

AUTHORITY = "-----BEGIN CERTIFICATE-----\n"


def connection() -> Connection:
    return KubernetesClient(ClientPolicy(5, 5, tries_again=False)).connection()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files and variables that a kubelet gives a pod; returns the token's file."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first-token\n")
    authority.write_text(AUTHORITY)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(service_account, "FOLDER", tmp_path)
    return token


def test_the_token_of_the_service_account_is_handed_on_bare(account: Path) -> None:
    found = connection()
    assert found.server == "https://10.96.0.1:443"
    assert found.ca_path == str(account.with_name("ca.crt"))
    assert found.token == "first-token"


def test_a_token_that_was_replaced_is_read_anew(account: Path) -> None:
    connection()
    account.write_text("second-token")
    assert connection().token == "second-token"

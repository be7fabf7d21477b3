"""People who bring their Kubernetes identity, on a real API server, with the chart's own rights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.support import chart, plain_http
from tests.support.accounts import grant, kubeconfig_of
from tests.support.api_harness import Api, body, started
from tests.support.browser import browser
from tests.support.in_cluster import service_account_token
from tests.support.leftovers import assert_none_is_left

from splitjob.resource import GROUP, PLURAL
from splitjob_client import Client, ForbiddenError, KubernetesToken
from splitjob_kube.rights import rights
from splitjob_local.cluster.controlplane import ISSUER
from splitjob_local.cluster.local_cluster import LocalCluster

NAMESPACE = "test-kubernetes-tokens"
AUDIENCE = "track-tree-audio"
KINDS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
TAKES_TOKENS = {
    "NAMESPACE": NAMESPACE,
    "KUBERNETES_TOKENS": "true",
    "LOG_LEVEL": "DEBUG",
    "TOTALS_CONFIGMAP": f"{chart.RELEASE}-track-tree-audio-totals",
}
RIGHTS = {
    "reader": rights(PLURAL, "get", "list", group=GROUP),
    "submitter": rights(PLURAL, "get", "list", "create", group=GROUP),
    "stranger": (),
}


@dataclass
class Door:
    """An API that takes tokens, and people who bring them.

    Attributes:
        api: it, under the account that the chart gives it.
        cluster: where.
        tokens: all that were brought.
    """

    api: Api
    cluster: LocalCluster
    tokens: list[str]

    def token(self, name: str, audience: str = AUDIENCE) -> str:
        """Return what somebody gets by `kubectl create token`."""
        option = [f"--audience={audience}"] if audience else []
        given = self.cluster.kubectl("-n", NAMESPACE, "create", "token", name, *option).strip()
        self.tokens.append(given)
        return given

    def get(self, path: str, token: str) -> httpx.Response:
        return plain_http.get(self.api.url + path, headers={"Authorization": f"Bearer {token}"})

    def submit(self, version_id: str, token: str) -> httpx.Response:
        return self.post("/split", body(version_id), token)

    def send_file(self, token: str) -> httpx.Response:
        return self.post("/uploads", {"filename": "song.wav", "size": 1}, token)

    def post(self, path: str, content: dict[str, Any], token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return plain_http.post(self.api.url + path, json=content, headers=headers)


@contextmanager
def account_of_the_chart(cluster: LocalCluster, home: Path) -> Iterator[Path]:
    """Create the API's account with its rights; yield a kubeconfig for it."""
    helm = cluster.cluster.programs["helm"]
    enabled = "api.kubernetesTokens.enabled=true"
    rendered = [
        manifest
        for manifest in chart.render(helm, home, enabled, namespace=NAMESPACE)
        if manifest["kind"] in KINDS
        and manifest["metadata"]["labels"].get("app.kubernetes.io/component") == "api"
    ]
    chart.apply(cluster.cluster, NAMESPACE, *rendered, dry_run=False)
    try:
        yield kubeconfig_of(cluster, NAMESPACE, f"{chart.RELEASE}-track-tree-audio-api", home)
    finally:
        wide = [manifest for manifest in rendered if manifest["kind"].startswith("Cluster")]
        cluster.kubectl("delete", "-f", "-", text=yaml.safe_dump_all(wide))


@pytest.fixture(scope="module")
def door(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The door; afterwards no token that was brought may stand in anything that is left."""
    folder = tmp_path_factory.mktemp("door")
    crd.cluster.create_namespace(NAMESPACE)
    for name, may in RIGHTS.items():
        crd.kubectl("-n", NAMESPACE, "create", "serviceaccount", name)
        grant(crd, NAMESPACE, name, may)
    tokens: list[str] = []
    with (
        account_of_the_chart(crd, folder) as kubeconfig,
        started(crd, folder / "log", KUBECONFIG=str(kubeconfig), **TAKES_TOKENS) as api,
    ):
        yield Door(api, crd, tokens)
    assert tokens
    signatures = [token.rpartition(".")[2] for token in tokens]
    assert_none_is_left(crd.cluster, NAMESPACE, [(folder / "log").read_text()], signatures)


def test_a_token_is_enough_to_read_and_to_submit(door: Door) -> None:
    token = door.token("submitter")
    answer = door.submit("by-token", token)
    assert answer.status_code == 202, answer.text
    shown = door.get(f"/jobs/{answer.json()['jobId']}", token)
    assert (shown.status_code, shown.json()["versionId"]) == (200, "by-token")
    assert door.get("/queue/status", token).json()["queue_depth"] >= 1
    assert door.send_file(token).json()["code"] == "storage_not_configured", "it is let in"


def test_the_client_comes_in_with_a_token(door: Door) -> None:
    with Client(door.api.url, KubernetesToken(door.token("reader"))) as client:
        assert client.models()
        with pytest.raises(ForbiddenError):
            client.cancel("split-a")


def test_79_a_right_that_is_missing_is_a_403_that_names_it(door: Door) -> None:
    """Acceptance 79."""
    reader, stranger = door.token("reader"), door.token("stranger")
    assert door.get("/models", reader).status_code == 200
    refused = [
        (door.submit("not-by-a-reader", reader), "reader may not create"),
        (door.send_file(reader), "reader may not create"),
        (door.get("/jobs/split-a", stranger), "stranger may not get"),
        (door.get("/queue/status", stranger), "stranger may not list"),
    ]
    for answer, words in refused:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert answer.headers["content-type"] == "application/problem+json"
        assert f"{words} splitjobs.{GROUP} in namespace {NAMESPACE}" in answer.json()["detail"]


def test_79_a_token_that_has_ended_or_is_for_somebody_else_is_a_401(door: Door) -> None:
    """Acceptance 79."""
    ended = service_account_token(door.cluster, NAMESPACE, "submitter", -3600, AUDIENCE)
    good = service_account_token(door.cluster, NAMESPACE, "submitter", 600, AUDIENCE)
    elsewhere, default = door.token("submitter", "another"), door.token("submitter", "")
    door.tokens += [ended, good]
    assert door.get("/models", good).status_code == 200
    for token in (ended, elsewhere, default, good[:-4] + "AAAA", "nonsense"):
        answer = door.get("/models", token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
        assert f"--audience {AUDIENCE}" in answer.json()["detail"]
        assert token not in answer.text


def test_without_an_audience_the_api_servers_own_tokens_are_taken(
    door: Door, tmp_path: Path
) -> None:
    settings = {**TAKES_TOKENS, "KUBERNETES_TOKEN_AUDIENCE": ""}
    with started(door.cluster, tmp_path / "log", **settings) as api:
        own = Door(api, door.cluster, door.tokens)
        assert own.get("/models", own.token("reader", "")).status_code == 200
        assert own.get("/models", own.token("reader", ISSUER)).status_code == 200
        assert own.get("/models", own.token("reader", "another")).status_code == 401


def test_the_log_names_who_came_in(door: Door) -> None:
    door.get("/models", door.token("reader"))
    lines = map(json.loads, door.api.log.read_text().splitlines())
    who = {line.get("who") for line in lines if line.get("path") == "/models"}
    assert f"kubernetes:system:serviceaccount:{NAMESPACE}:reader" in who


def test_the_console_lets_people_in_by_their_token_and_tells_them_what_they_may_not(
    door: Door, tmp_path: Path
) -> None:
    job = door.submit("in-the-console", door.token("submitter")).json()["jobId"]
    with browser(tmp_path / "profile") as tab:
        tab.open(f"{door.api.url}/console?job={job}")
        tab.sees("Kubernetes token")
        tab.fill("[name=token]", door.token("stranger"))
        tab.press("Enter")
        tab.sees("stranger may not", "form")
        tab.run("document.querySelector('[name=token]').value = ''")
        tab.fill("[name=token]", door.token("reader"))
        tab.press("Enter")
        tab.sees("in-the-console", "article")
        tab.click("[data-action=cancel]")
        tab.click("dialog .primary")
        tab.sees("reader may not patch", "dialog")
        assert tab.troubles == []
    shown = door.get(f"/jobs/{job}/resource", door.token("reader")).json()
    assert (shown["resource"]["metadata"]["name"], shown["events"]) == (job, [])

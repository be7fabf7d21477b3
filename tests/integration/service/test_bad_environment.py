"""A cluster that is not as API and operator need it: each says so and waits, and works once it is.

Both are real processes on a real API server whose CustomResourceDefinition is taken away.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import plain_http
from tests.support.accounts import account, grant
from tests.support.api_harness import TOKEN, Api, body, launched
from tests.support.definition import establish
from tests.support.operator_harness import Operator, Site, site
from tests.support.waiting import eventually, timeout

import splitjob_api.kubernetes
from splitjob.crd import custom_resource_definition
from splitjob.resource import GROUP, PLURAL
from splitjob_kube.preconditions import INSTALLATION_CONFIGMAP
from splitjob_kube.rights import Right
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_operator.adapters import kubernetes as operator_kubernetes

CRD = f"{PLURAL}.{GROUP}"
TOTALS = "track-tree-audio-totals"
LEASE = "track-tree-audio-operator"
# A watch that brought nothing would end the process within seconds.
QUICK = {"RESYNC_SECONDS": "1", "MISSED_WATCH_SECONDS": "6"}


@pytest.fixture(scope="module", autouse=True)
def leaves_no_definition(bare: LocalCluster) -> Iterator[None]:
    """The cluster has never heard of SplitJobs, for the next one too."""
    yield
    bare.kubectl("delete", f"crd/{CRD}", "--ignore-not-found", timeout(30))


def define(cluster: LocalCluster, *without: str) -> None:
    """Install the CustomResourceDefinition, or one that lacks a field of the status."""
    definition = custom_resource_definition()
    (version,) = definition["spec"]["versions"]
    for field in without:
        del version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"][field]
    establish(cluster.objects, definition)


@dataclass
class Pair:
    """Operator and API in one namespace."""

    site: Site
    operator: Operator
    api: Api

    def unready(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what both answer at /readyz, which must be 503."""
        answers = [plain_http.get(f"{one.url}/readyz") for one in (self.operator, self.api)]
        assert [answer.status_code for answer in answers] == [503, 503]
        return answers[0].json(), answers[1].json()

    def is_unready_with(self, reason: str, *words: str) -> bool:
        """Whether both say this."""
        operator, api = self.unready()
        (one,) = operator["unready"]
        assert one["reason"] == reason, one
        return all(word in one["message"] and word in api["detail"] for word in words)

    def is_ready(self) -> bool:
        return self.operator.ready() and plain_http.get(f"{self.api.url}/readyz").status_code == 200

    def alive(self) -> bool:
        """Whether both processes are the same as at the start, and would not be restarted."""
        urls = (self.operator.url, self.api.url)
        healthy = all(plain_http.get(f"{url}/healthz").status_code == 200 for url in urls)
        return healthy and not (self.operator.process.poll() or self.api.process.poll())


@pytest.fixture
def pair(bare: LocalCluster, tmp_path: Path) -> Iterator[Pair]:
    """Both of them started, ready or not."""
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        operator = place.launch(**QUICK)
        log = tmp_path / "api.log"
        api = stack.enter_context(launched(bare, log, NAMESPACE=place.namespace))
        for one in (operator, api):
            eventually(lambda url=one.url: plain_http.get(f"{url}/healthz").is_success, 120)  # type: ignore[misc]
        yield Pair(place, operator, api)


def test_the_definition_is_missing_and_comes_later(bare: LocalCluster, pair: Pair) -> None:
    eventually(
        lambda: pair.is_unready_with("CrdMissing", CRD, "crds.enabled=true", "kubectl apply")
    )
    time.sleep(3)
    assert pair.alive()
    logged = pair.operator.log.read_text()
    assert logged.count("Not ready: ") - logged.count("have not been listed") <= 1, "said once"
    metrics = plain_http.get(f"{pair.operator.url}/metrics").text
    assert 'splitjob_unready{reason="CrdMissing"} 1.0' in metrics
    define(bare)
    eventually(pair.is_ready)
    name = pair.site.ask("complete")
    assert pair.site.told(name).body["status"] == "completed"
    time.sleep(8)
    assert pair.alive(), "the watch was set up, though the kind came after the start"


def test_an_old_definition_would_lose_the_outbox(bare: LocalCluster, pair: Pair) -> None:
    define(bare)
    eventually(pair.is_ready)
    define(bare, "webhook")
    eventually(lambda: pair.is_unready_with("CrdOutdated", "status.webhook", "Upgrade the CRD"))
    refused = pair.api.post(body("too-early"))
    assert refused.status_code == 503
    assert "status.webhook" in refused.json()["detail"]
    name = pair.site.ask("complete")
    time.sleep(4)
    assert pair.site.jobs(name) == []
    assert pair.site.status(name) == {}
    define(bare)
    eventually(pair.is_ready)
    assert pair.site.told(name).body["status"] == "completed"
    eventually(lambda: pair.site.status(name)["webhook"]["state"] == "Delivered")
    assert pair.alive()
    assert pair.api.post(body("now")).status_code == 202


RIGHTS = {
    "operator": operator_kubernetes.rights_needed(TOTALS, LEASE, network_policies=False),
    "api": splitjob_api.kubernetes.rights_needed(TOTALS),
}


def test_each_right_that_is_cut_is_named(bare: LocalCluster, tmp_path: Path) -> None:
    """Acceptance 66: with exactly these rights both work; without any of them they say which."""
    define(bare)
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        configs = {}
        for who, needed in RIGHTS.items():
            configs[who] = str(account(bare, place.namespace, who, tmp_path))
            grant(bare, place.namespace, who, needed)
        operator = place.launch(**QUICK, KUBECONFIG=configs["operator"])
        more = {"NAMESPACE": place.namespace, "KUBECONFIG": configs["api"]}
        api = stack.enter_context(launched(bare, tmp_path / "api.log", **more))
        pair = Pair(place, operator, api)
        eventually(pair.is_ready)
        for who, url in (("api", api.url), ("operator", operator.url)):
            for right in RIGHTS[who]:
                cut(bare, place.namespace, who, right)
                eventually(lambda url=url, right=right: says(url, str(right)))  # type: ignore[misc]
            grant(bare, place.namespace, who, RIGHTS[who])
            eventually(lambda url=url: plain_http.get(f"{url}/readyz").status_code == 200)  # type: ignore[misc]
        assert pair.alive()
        assert api.post(body("with-few-rights")).status_code == 202
        name = place.ask("complete")
        assert place.told(name).body["status"] == "completed"


def cut(cluster: LocalCluster, namespace: str, who: str, right: Right) -> None:
    grant(cluster, namespace, who, [one for one in RIGHTS[who] if one != right])


def says(url: str, right: str) -> bool:
    """Whether a component lacks this right and no other."""
    answer = plain_http.get(f"{url}/readyz")
    return answer.status_code == 503 and f": {right}. Restore the chart's Role" in answer.text


def test_another_release_serves_the_namespace(bare: LocalCluster, tmp_path: Path) -> None:
    define(bare)
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        installed(place, "first")
        first = place.start(**QUICK, RELEASE="first")
        second = place.launch(**QUICK, RELEASE="second", MODELS="demo")
        log = tmp_path / "api.log"
        more = {"NAMESPACE": place.namespace, "RELEASE": "second"}
        api = stack.enter_context(launched(bare, log, **more))
        pair = Pair(place, second, api)
        words = ("release first serves namespace", "release second does nothing")
        eventually(lambda: pair.is_unready_with("OtherRelease", *words))
        first.stop()
        name = place.ask("complete")
        time.sleep(4)
        assert place.jobs(name) == []
        assert place.status(name) == {}
        assert pair.alive()
        place.delete("configmap", INSTALLATION_CONFIGMAP)
        eventually(pair.is_ready)
        assert place.told(name).body["status"] == "completed"


def installed(place: Site, release: str) -> None:
    """Say which release serves the namespace, as the chart does."""
    metadata = {"name": INSTALLATION_CONFIGMAP}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    place.apply(kind | {"metadata": metadata, "data": {"release": release}})


def test_the_definition_is_removed_while_they_run(bare: LocalCluster, pair: Pair) -> None:
    """With it all SplitJobs are gone; what is left waits for the next ones."""
    define(bare)
    eventually(pair.is_ready)
    bare.kubectl("delete", f"crd/{CRD}", timeout(30))
    eventually(lambda: pair.is_unready_with("CrdMissing", CRD))
    time.sleep(5)
    assert pair.alive()
    define(bare)
    eventually(pair.is_ready)
    name = pair.site.ask("complete")
    assert pair.site.told(name).body["status"] == "completed"
    time.sleep(8)
    assert pair.alive(), "the watch goes on with the new kind"


MOMENT = "2026-01-01T00:00:00Z"


def verdict(status: str, reason: str) -> dict[str, str]:
    moment = {"lastTransitionTime": MOMENT}
    return {"type": "Succeeded", "status": status, "reason": reason, **moment}


def outbox(name: str, event: str, state: str) -> dict[str, str]:
    return {"eventId": f"evt-of-{name}", "event": event, "state": state}


# As an earlier version may have left them: fewer conditions, fewer fields, no times.
EARLIER: dict[str, dict[str, Any]] = {
    "queued": {"phase": "Queued"},
    "begun": {"phase": "Starting", "attempts": [{"number": 1, "jobName": "begun-1"}]},
    "failed": {
        "phase": "Failed",
        "conditions": [verdict("False", "AudioUnreadable")],
        "failure": {"code": "audio_unreadable", "message": "no audio"},
        "webhook": outbox("failed", "failed", "Pending"),
        "finishedAt": MOMENT,
    },
    "told": {
        "phase": "Canceled",
        "conditions": [verdict("False", "Canceled")],
        "failure": {"code": "canceled", "message": "by hand"},
        "webhook": {**outbox("told", "canceled", "Delivered"), "deliveredAt": MOMENT},
        "finishedAt": MOMENT,
    },
}


def test_splitjobs_of_the_version_before_are_served(bare: LocalCluster, tmp_path: Path) -> None:
    define(bare)
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        for name, status in EARLIER.items():
            place.ask("complete", name=name, spec={"ttlSecondsAfterFinished": 86400 * 365})
            place.change_status(name, **status)
        more = {"NAMESPACE": place.namespace}
        api = stack.enter_context(launched(bare, tmp_path / "api.log", **more))
        operator = place.launch(**QUICK)
        eventually(lambda: plain_http.get(f"{api.url}/readyz").is_success, 120)
        for name in EARLIER:
            assert api.get(f"/jobs/{name}").status_code == 200
        eventually(operator.ready, 120)
        for name in ("queued", "begun"):
            assert place.told(name, 90).body["status"] == "completed"
        told = place.told("failed", 60)
        assert told.headers["webhook-id"] == "evt-of-failed"
        assert told.body["errorCode"] == "audio_unreadable"
        eventually(lambda: all(place.status(name)["counted"] for name in EARLIER), 60)
        assert place.receiver.of("told") == []
        assert "Traceback" not in operator.log.read_text()


def test_credentials_that_are_no_longer_taken(bare: LocalCluster, tmp_path: Path) -> None:
    """Acceptance 69: 401 until the token is replaced; nothing ends over it."""
    define(bare)
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        config = account(bare, place.namespace, "both", tmp_path)
        grant(bare, place.namespace, "both", {*RIGHTS["operator"], *RIGHTS["api"]})
        operator = place.launch(**QUICK, KUBECONFIG=str(config))
        more = {"NAMESPACE": place.namespace, "KUBECONFIG": str(config)}
        api = stack.enter_context(launched(bare, tmp_path / "api.log", **more))
        pair = Pair(place, operator, api)
        eventually(pair.is_ready, 120)
        place.delete("serviceaccount", "both")
        eventually(lambda: pair.is_unready_with("ClusterUnavailable"))
        time.sleep(10)
        assert pair.alive()
        account(bare, place.namespace, "both", tmp_path)
        eventually(pair.is_ready, 60)
        name = place.ask("complete")
        assert place.told(name).body["status"] == "completed"
        time.sleep(8)
        assert pair.alive(), "the watches have the new token too"


def test_a_secret_made_from_files(bare: LocalCluster, tmp_path: Path) -> None:
    """`kubectl create secret --from-file` leaves the newline at each file's end."""
    define(bare)
    access = bare.s3
    keys = {
        "DEMUCSSVC_TOKEN": f"{TOKEN}\n",
        "S3_ACCESS_KEY_ID": f"{access.access_key_id}\n",
        "S3_SECRET_ACCESS_KEY": f"{access.secret_access_key}\n",
    }
    with ExitStack() as stack:
        place = stack.enter_context(site(bare, tmp_path))
        files = []
        for name, text in keys.items():
            (tmp_path / name).write_text(text)
            files.append(f"--from-file={tmp_path / name}")
        place.delete("secret", "keys")
        place.kubectl("create", "secret", "generic", "keys", *files)
        more = {"NAMESPACE": place.namespace, "DEMUCSSVC_TOKEN": keys["DEMUCSSVC_TOKEN"]}
        api = stack.enter_context(launched(bare, tmp_path / "api.log", **more))
        operator = place.launch(**QUICK, **keys)
        eventually(operator.ready, 120)
        name = place.ask("complete")
        assert place.told(name).body["status"] == "completed"
        eventually(lambda: plain_http.get(f"{api.url}/readyz").is_success, 120)
        assert api.post(body("signed-without-the-newline")).status_code == 202

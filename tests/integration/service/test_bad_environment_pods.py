"""A namespace that is not as the service needs it, as whoever installed it sees it: in its pods.

One release is installed by Helm for all of these tests; each finds it running, or brings it there.
The workers are scripted.
"""

import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import plain_http
from tests.support.chart import CHART, LOCAL
from tests.support.operator_harness import TOKEN, WORKER, Site, site
from tests.support.ports import free_port
from tests.support.waiting import eventually, timeout

from splitjob_kube.preconditions import INSTALLATION_CONFIGMAP
from splitjob_local.cluster.kubectl import KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster

RELEASE = "first"
SECRET, KEY = "song-keys", "signing"
PROGRAMS = ("api", "operator")
# Of the node: it waits 10 s before a container's third start, 20 s before its fourth, ...
RESTART_SECONDS = 90


@dataclass
class Release:
    """The service in one namespace, as Helm installed it."""

    place: Site
    values: Path
    said: str = ""

    def command(self, name: str, release: str = RELEASE, *more: str) -> str:
        """Run install, upgrade or template."""
        files = [f"--values={LOCAL}", f"--values={self.values}"]
        where = f"--namespace={self.place.namespace}"
        return self.place.cluster.helm(name, release, str(CHART), where, *files, *more)

    def name(self, component: str, release: str = RELEASE) -> str:
        return f"{release}-track-tree-audio-{component}"

    # Its Secret

    def secret(self, **keys: str) -> None:
        """Put the Secret there, with these keys and the storage's."""
        access = self.place.cluster.s3
        storage = {
            "S3_ACCESS_KEY_ID": access.access_key_id,
            "S3_SECRET_ACCESS_KEY": access.secret_access_key,
        }
        metadata = {"name": SECRET}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        self.place.apply({**secret, "stringData": storage | keys})

    # Its pods

    def pods(self, component: str, release: str = RELEASE) -> list[dict[str, Any]]:
        """Return the pods of a component that are not on their way out, the oldest first."""
        labels = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={release}"
        found = self.place.get("pods", selector=labels)["items"]
        items = sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def container(self, component: str) -> dict[str, Any]:
        """Return the container's status of the newest pod."""
        (status,) = self.pods(component)[-1]["status"]["containerStatuses"]
        return dict(status)

    def waits(self, component: str, reason: str) -> str:
        """Return why the newest pod's container waits; nothing where that is not the reason."""
        waiting: dict[str, str] = self.container(component)["state"].get("waiting", {})
        return waiting["message"] if waiting.get("reason") == reason else ""

    def last_words(self, component: str, *words: str) -> list[str]:
        """Return the lines of the termination message, once they hold these words."""
        status = self.container(component)
        ending = status["state"].get("terminated") or status["lastState"]["terminated"]
        assert ending["exitCode"] == 2
        message: str = ending["message"]
        return message.splitlines() if all(word in message for word in words) else []

    def unready(self, component: str, *words: str, release: str = RELEASE) -> bool:
        """Whether its only pod says this at /readyz, and is not ready for Kubernetes either."""
        (pod,) = self.pods(component, release)
        answer = plain_http.get(f"{address(pod)}/readyz")
        assert answer.status_code == 503
        return all(word in answer.text for word in words) and not ready(pod)

    def is_up(self, release: str = RELEASE) -> bool:
        """Whether each component has one pod, and that is ready."""
        pods = [self.pods(component, release) for component in PROGRAMS]
        return all(len(some) == 1 and ready(some[0]) for some in pods)

    def bring_up(self) -> None:
        """Return when everything is as it should be."""
        self.secret(**{KEY: TOKEN})
        eventually(self.is_up, RESTART_SECONDS)


def address(pod: dict[str, Any]) -> str:
    (container,) = pod["spec"]["containers"]
    return f"http://{pod['status']['podIP']}:{container['ports'][0]['containerPort']}"


def ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"]["conditions"]}
    return bool(conditions["Ready"] == "True")


def own_values(place: Site) -> dict[str, Any]:
    """Return the values of this cluster, with scripted workers and a Secret of one's own."""
    service = place.cluster.service.values()
    service["api"] = {"port": free_port(), "replicas": 1}
    worker = {
        "WORKER_COMMAND": json.dumps([sys.executable, str(WORKER)]),
        "WAITING_GRACE_SECONDS": "3",
        "RETRY_DELAY_SECONDS": "0.5",
    }
    service["operator"] = {
        "port": free_port(),
        "replicas": 1,
        "resyncSeconds": 1,
        "extraEnv": [{"name": name, "value": value} for name, value in worker.items()],
    }
    return service | {
        "crds": {"enabled": False},
        "secrets": {"existingSecret": SECRET, "keys": {"token": KEY}},
        "webhooks": {"allowlist": [place.receiver.base.rstrip("/")]},
        "queue": {"maxActiveJobs": 0},
        "worker": {
            "gpu": {"count": 0},
            "cpu": "10m",
            "memory": "128Mi",
            "memoryRetry": "160Mi",
            "scratchSize": "16Mi",
            "terminationGracePeriodSeconds": 3,
        },
    }


# A namespace as a platform team hands it out.
HARD = {
    "pods": "8",
    "count/jobs.batch": "4",
    "requests.cpu": "2",
    "limits.cpu": "8",
    "requests.memory": "4Gi",
    "limits.memory": "8Gi",
    "requests.ephemeral-storage": "4Gi",
    "limits.ephemeral-storage": "8Gi",
}
LIMITS = {
    "type": "Container",
    "default": {"cpu": "1", "memory": "100Mi", "ephemeral-storage": "1Gi"},
    "defaultRequest": {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
    "max": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "2Gi"},
}


def quota(place: Site, **changed: str) -> None:
    """Give the namespace its quota, or another one; return when it is counted."""
    hard = HARD | {name.replace("jobs", "count/jobs.batch"): much for name, much in changed.items()}
    metadata = {"name": "team-quota"}
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    place.apply({**made, "spec": {"hard": hard}})
    eventually(lambda: place.get("resourcequota", "team-quota")["status"]["hard"] == hard)


def limits(place: Site, **most: str) -> None:
    """Give the namespace its LimitRange, or one with other maxima."""
    allowed = {**LIMITS, "max": {**LIMITS["max"], **most}}  # type: ignore[dict-item]
    made = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "team-limits"}}
    place.apply({**made, "spec": {"limits": [allowed]}})


@pytest.fixture(scope="module")
def installed(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release, in a namespace with everything but its Secret."""
    folder = tmp_path_factory.mktemp("bad-environment")
    with site(crd, folder) as place:
        place.delete("secret", "keys")
        quota(place)
        limits(place)
        values = folder / "own.yaml"
        values.write_text(yaml.safe_dump(own_values(place)))
        one = Release(place, values)
        one.said = one.command("install")
        yield one
        crd.helm("uninstall", RELEASE, f"--namespace={place.namespace}", "--wait")


@pytest.fixture
def release(installed: Release) -> Release:
    """The release, running."""
    installed.bring_up()
    return installed


def test_secrets_that_cannot_be_used_are_named_and_waited_for(installed: Release) -> None:
    one, place = installed, installed.place
    assert f"until the Secret {SECRET} is there and has the key {KEY}" in one.said
    assert f"create secret generic {SECRET} --from-literal={KEY}=" in one.said
    for program in PROGRAMS:
        eventually(lambda p=program: f'secret "{SECRET}" not found' in stuck(one, p))  # type: ignore[misc]
    assert "CreateContainerConfigError" in place.kubectl("get", "pods")
    assert f'secret "{SECRET}" not found' in place.kubectl("events", "--types=Warning")

    one.secret(WRONG_KEY=TOKEN)
    for program in PROGRAMS:
        why = f"couldn't find key {KEY} in Secret {place.namespace}/{SECRET}"
        eventually(lambda p=program, w=why: w in stuck(one, p))  # type: ignore[misc]
        assert one.container(program)["restartCount"] == 0

    one.secret(**{KEY: ""})
    for program in PROGRAMS:
        (line,) = eventually(lambda p=program: one.last_words(p))  # type: ignore[misc]
        for words in (f"key {KEY} of the Secret {SECRET}", "chart value secrets.token", "is empty"):
            assert words in json.loads(line)["message"]
        eventually(lambda p=program: one.waits(p, "CrashLoopBackOff"))  # type: ignore[misc]

    one.secret(**{KEY: " \n"})
    place.kubectl("delete", "pods", "--all", "--wait=false")  # not to wait for the node's back-off
    for program in PROGRAMS:
        eventually(lambda p=program: one.last_words(p, "cannot start: DEMUCSSVC_TOKEN", "is empty"))  # type: ignore[misc]

    one.secret(**{KEY: f"{TOKEN}\n"})
    eventually(one.is_up, RESTART_SECONDS)
    name = place.ask("complete")
    assert place.told(name).body["status"] == "completed"


def stuck(one: Release, component: str) -> str:
    return one.waits(component, "CreateContainerConfigError")


def test_a_namespace_with_quota_limits_and_pod_security(release: Release) -> None:
    place = release.place
    (pod,) = release.pods("api")
    assert pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1", "of the LimitRange"
    release.command("upgrade", RELEASE, f"--set=tests.address={address(pod)}")
    tested = place.cluster.helm("test", RELEASE, f"--namespace={place.namespace}", timeout(60))
    assert "Succeeded" in tested
    name = place.ask("complete")
    assert place.told(name).body["status"] == "completed"

    quota(place, jobs="0")
    jobless = place.ask("complete")
    waits(place, jobless, "QuotaExceeded", "exceeded quota: team-quota", "count/jobs.batch=0")
    quota(place, pods="2")  # the two that there are
    podless = place.ask("complete")
    waits(place, podless, "QuotaExceeded", "exceeded quota: team-quota", "limited: pods=2")
    quota(place)
    limits(place, memory="100Mi")
    too_large = place.ask("complete")
    waits(place, too_large, "PodRefused", "maximum memory usage per Container is 100Mi")
    limits(place)
    for name in (jobless, podless, too_large):
        assert place.told(name, 60).body["status"] == "completed"
        assert len(place.status(name)["attempts"]) == 1


def waits(place: Site, name: str, reason: str, *words: str) -> None:
    """Wait until a SplitJob says that it waits for this, in these words."""

    def said() -> bool:
        admitted = place.condition(name, "Admitted")
        assert (admitted["status"], admitted["reason"]) == ("False", reason)
        return all(word in admitted["message"] for word in words)

    eventually(said)


# By program: what is set by hand, to what, and how it is said.
WRONG = {
    "api": ("BODY_TIMEOUT_SECONDS", "soon", "chart value api.bodyTimeoutSeconds", "valid number"),
    "operator": ("WORKER_MEMORY", "much", "chart value worker.memory", "quantity"),
}


def test_a_wrong_setting_is_the_pods_last_word(release: Release) -> None:
    """The chart refuses such a value: here somebody edits what it made of it."""
    place = release.place
    right = {}
    for program, (variable, value, *_) in WRONG.items():
        config = release.name(program)
        right[program] = place.get("configmap", config)["data"][variable]
        change(place, f"configmap/{config}", {"data": {variable: value}})
    restart(release)
    for program, (variable, _, *words) in WRONG.items():
        (line,) = eventually(lambda p=program, v=variable: release.last_words(p, v))  # type: ignore[misc]
        message = json.loads(line)["message"]
        assert message.startswith(f"cannot start: {variable} (")
        assert all(word in message for word in words), message
    assert ready(release.pods("api")[0]), "the pod before serves until its successor is ready"
    for program, (variable, *_) in WRONG.items():
        change(place, f"configmap/{release.name(program)}", {"data": {variable: right[program]}})
    restart(release)  # not to wait for the node's back-off
    eventually(release.is_up, RESTART_SECONDS)


def restart(release: Release) -> None:
    """Give both components new pods; `kubectl rollout restart` refuses twice within a second."""
    template = {"metadata": {"annotations": {"restart": secrets.token_hex(4)}}}
    for program in PROGRAMS:
        what = f"deployment/{release.name(program)}"
        change(release.place, what, {"spec": {"template": template}})


def change(place: Site, what: str, patch: dict[str, Any]) -> None:
    place.kubectl("patch", what, "--type=merge", "-p", json.dumps(patch))


# By program: the place of a rule in its Role, what is left of it, and what is missing then.
CUT = {
    "api": (1, "secrets", "create secrets"),
    "operator": (3, "jobs", "create jobs.batch"),
}


def test_rights_that_are_cut_by_hand_are_named(release: Release) -> None:
    place = release.place
    before = {program: place.get("role", release.name(program))["rules"] for program in CUT}
    pods = {program: identity(release.pods(program)) for program in CUT}
    for program, (at, resource, _) in CUT.items():
        rules = json.loads(json.dumps(before[program]))
        assert rules[at]["resources"] == [resource]
        rules[at]["verbs"] = [verb for verb in rules[at]["verbs"] if verb != "create"] or ["get"]
        change(place, f"role/{release.name(program)}", {"rules": rules})
        account = f"--as=system:serviceaccount:{place.namespace}:{release.name(program)}"
        with pytest.raises(KubectlError, match="no"):
            place.kubectl("auth", "can-i", "create", resource, account)
    for program, (*_, missing) in CUT.items():
        words = (f"lacks rights in namespace {place.namespace}: {missing}.", "Restore the chart's")
        eventually(lambda p=program, w=words: release.unready(p, *w))  # type: ignore[misc]
    for program in CUT:
        change(place, f"role/{release.name(program)}", {"rules": before[program]})
    eventually(release.is_up)
    assert {program: identity(release.pods(program)) for program in CUT} == pods
    name = place.ask("complete")
    assert place.told(name).body["status"] == "completed"


def identity(pods: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return what is another one after a restart."""
    return [
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in pods
    ]


def test_a_second_release_past_helm_takes_over_and_nothing_runs_twice(release: Release) -> None:
    place = release.place
    with pytest.raises(KubectlError, match=f"has the release {RELEASE} already"):
        release.command("install", "second")
    before = place.ask("sleep 12; complete")
    place.running(before)
    second = release.command("template", "second", "--no-hooks")
    place.kubectl("apply", "-f", "-", text=second)
    try:
        words = (f"release second serves namespace {place.namespace}", INSTALLATION_CONFIGMAP)
        for program in PROGRAMS:
            idle = f"release {RELEASE} does nothing there"
            eventually(lambda p=program, i=idle: release.unready(p, *words, i))  # type: ignore[misc]
        eventually(lambda: release.is_up("second"), RESTART_SECONDS)
        after = place.ask("complete")
        for name in (before, after):
            once(place, name)
        assert release.is_up("second")
    finally:
        place.kubectl("delete", "-f", "-", "--wait=false", text=second)
    eventually(release.is_up)
    once(place, place.ask("complete"))


def once(place: Site, name: str) -> None:
    """A song was completed by one attempt, and its receiver told of that once."""
    assert place.told(name).body["status"] == "completed"
    (attempt,) = eventually(lambda: place.ended(name)["attempts"])
    assert attempt["number"] == 1
    assert len({one.headers["webhook-id"] for one in place.receiver.of(name)}) == 1

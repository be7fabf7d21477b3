"""Probes and hooks on the process node."""

from typing import Any

from tests.support.waiting import eventually

STATE = {
    "env": [{"name": "DIR", "value": "/state"}],
    "volumeMounts": [{"name": "state", "mountPath": "/state"}],
}
VOLUME = {"volumes": [{"name": "state", "emptyDir": {}}]}
OK = {"exec": {"command": ["sh", "-c", 'test -e "$DIR/ok"']}, "periodSeconds": 1}


def test_readiness_comes_and_goes(pods: Any) -> None:
    script = 'sleep 0.5; touch "$DIR/ok"; sleep 1.5; rm "$DIR/ok"; sleep 30'
    probe = OK | {"failureThreshold": 1}
    pods.shell("ready", script, readinessProbe=probe, spec=VOLUME, **STATE)

    pod = pods.wait("ready", lambda pod: pods.state(pod).get("started"))
    assert not pods.state(pod)["ready"]
    pods.wait_until_ready("ready")
    pod = pods.wait("ready", lambda pod: pods.condition(pod, "Ready")["status"] == "False")
    assert pods.condition(pod, "Ready")["message"] == "containers with unready status: [main]"


def test_liveness_restarts(pods: Any) -> None:
    script = 'touch "$DIR/ok"; sleep 1; rm "$DIR/ok"; sleep 30'
    probe = OK | {"failureThreshold": 2, "terminationGracePeriodSeconds": 1}
    spec = VOLUME | {"restartPolicy": "Always"}
    pods.shell("live", script, livenessProbe=probe, spec=spec, **STATE)

    pod = pods.wait("live", lambda pod: pods.state(pod).get("restartCount") == 1)

    assert pods.state(pod)["lastState"]["terminated"]["exitCode"] in (137, 143)


def test_startup_holds_the_others_back(pods: Any) -> None:
    script = 'sleep 1; touch "$DIR/ok"; sleep 30'
    tcp = {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1}
    pods.shell("start", script, startupProbe=OK, livenessProbe=tcp, spec=VOLUME, **STATE)

    pod = pods.wait("start", lambda pod: pods.state(pod).get("state", {}).get("running"))
    assert not pods.state(pod)["started"]
    pod = pods.wait("start", pods.terminated)
    assert pods.terminated(pod)["exitCode"] == 143


def test_the_pre_stop_hook_runs_first(pods: Any) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", 'sleep 0.5; echo hook > "$DIR/ok"']}}}
    script = 'trap \'cat "$DIR/ok" > "$END"; exit 0\' TERM; while :; do sleep 0.05; done'
    env = [*STATE["env"], {"name": "END", "value": "/dev/termination-log"}]
    pods.shell("hook", script, lifecycle=hook, spec=VOLUME, **STATE | {"env": env})
    pods.wait_until_ready("hook")
    keep = {"metadata": {"finalizers": ["example.com/keep"]}}
    pods.api.patch_namespaced_pod("hook", pods.namespace, keep)

    pods.delete("hook", grace=5)
    pod = pods.wait_for_phase("hook", "Succeeded")

    assert pods.terminated(pod)["message"] == "hook\n"
    pods.api.patch_namespaced_pod("hook", pods.namespace, {"metadata": {"finalizers": None}})


def test_unhealthy_is_an_event(pods: Any) -> None:
    probe = {"httpGet": {"port": 1}, "periodSeconds": 1}
    pods.run("ill", "sleep", "30", readinessProbe=probe)

    def unhealthy() -> list[str]:
        events = pods.api.list_namespaced_event(pods.namespace).items
        return [event.message for event in events if event.reason == "Unhealthy"]

    assert eventually(unhealthy)[0].startswith("Readiness probe failed: Get ")

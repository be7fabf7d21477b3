"""What a pod finds around it: no name, nothing to write on, a companion that never ends."""

import json
from typing import Any

from tests.containers.report import Report
from tests.containers.world import World
from tests.support.waiting import eventually

IDENTITY = """
import os, pathlib, pwd
def named():
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False
def writes(folder):
    try:
        pathlib.Path(folder, "probe").write_text("")
        return True
    except OSError as error:
        return error.strerror
print(os.getuid(), named(), writes("/"), writes("/opt/venv"))
"""
# As the policies' language has it: types are named by where they stand in the object.
CONTAINER = "Object.spec.containers"
COMPANION = """[JSONPatch{op: "add", path: "/spec/containers/-", value: %(container)s{
  name: "companion", image: "%(image)s", imagePullPolicy: "Never",
  command: ["python", "-c", "import time; time.sleep(1000000)"],
  securityContext: %(container)s.securityContext{
    allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
    capabilities: %(container)s.securityContext.capabilities{drop: ["ALL"]}
  }
}}]"""
POLICY = "a-companion-for-workers"


def test_users_without_names_and_read_only_roots(world: World, report: Report) -> None:
    expected = "65532 False Read-only file system Read-only file system"
    for component in ("api", "operator"):
        pod = world.pod_of(component)["metadata"]["name"]
        said = world.exec(pod, IDENTITY).strip()
        report.check(f"user, has a name, can write: {component}", expected, said)
    name = world.ask(world.slow_song(8))
    said = world.exec(world.running(name), IDENTITY).strip()
    report.check("user, has a name, can write: worker", expected, said)
    report.check("  its song", "Completed -> Completed", world.outcome(name))


def test_a_user_of_the_platforms_choice(world: World, report: Report) -> None:
    """Any number, as OpenShift gives out: no entry in /etc/passwd."""
    parts = ("api", "operator", "worker")
    with world.settings(*(f"{part}.podSecurityContext.runAsUser=1000650000" for part in parts)):
        pod = world.pod_of("operator")["metadata"]["name"]
        said = world.exec(pod, IDENTITY).split()[0]
        report.check("operator as another user", "1000650000", said)
        name = world.ask(world.song_url())
        report.check("  a song", "Completed -> Completed", world.outcome(name))


def test_a_companion_that_never_ends(world: World, report: Report) -> None:
    """Injected by an admission policy, as service meshes do; the job ends all the same."""
    image = f"docker.io/track-tree-audio/worker:{world.containers.images.provide()['worker']}"
    for document in companion(image):
        world.cluster.kubectl("apply", "-f", "-", text=json.dumps(document))
    try:
        eventually(lambda: companions(world) == 1, 60)
        name = world.ask(world.slow_song(4))
        pod = world.cluster.objects.get("pod", world.running(name), namespace=world.namespace)
        names = sorted(one["name"] for one in pod["spec"]["containers"])
        report.check("containers of the worker's pod", ["companion", "worker"], names)
        report.check("  a song beside it", "Completed -> Completed", world.outcome(name))
        report.check("  final webhooks", 1, world.finals(name))
    finally:
        for document in companion(image):
            world.cluster.kubectl("delete", document["kind"], document["metadata"]["name"])


def companions(world: World) -> int:
    """Count the companions that a worker's pod would get now."""
    # As a worker's pod has it: what is said of the pod holds for the companion too.
    of_pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    main = {"name": "main", "image": "none", "securityContext": own}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {"audio.track-tree.com/splitjob": "probe"}},
        "spec": {"securityContext": of_pod, "containers": [main]},
    }
    said = world.kubectl(
        "create", "--dry-run=server", "-o", "json", "-f", "-", text=json.dumps(pod)
    )
    return sum(one["name"] == "companion" for one in json.loads(said)["spec"]["containers"])


def companion(image: str) -> list[dict[str, Any]]:
    """Return a policy that gives each pod of a worker one more container, and its binding."""
    expression = COMPANION % {"container": CONTAINER, "image": image}
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                        }
                    ]
                },
                "matchConditions": [
                    {
                        "name": "a-worker",
                        "expression": "has(object.metadata.labels) && "
                        "'audio.track-tree.com/splitjob' in object.metadata.labels && "
                        "!object.spec.containers.exists(one, one.name == 'companion')",
                    }
                ],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [
                    {
                        "patchType": "JSONPatch",
                        "jsonPatch": {"expression": expression},
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY},
        },
    ]

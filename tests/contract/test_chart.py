"""The chart against the code it configures: names, settings, labels, values and refusals."""

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chart import (
    CHART,
    LOCAL,
    OWN_REGISTRY,
    RELEASE,
    Manifest,
    Render,
    container,
    environment,
    one,
    refusal,
)

import splitjob_api.settings
import splitjob_operator.core.settings
from splitjob import crd, resource
from splitjob.quantity import bytes_of

DEPLOYMENTS = ("api", "operator")
SETTINGS: dict[str, Any] = {
    "api": splitjob_api.settings.Settings,
    "operator": splitjob_operator.core.settings.Settings,
}
# Read by something else than the component's own settings.
OTHER_NAMES = {
    "TMPDIR",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}
# Settings that the chart leaves at their defaults: they are for tests and for people who know why.
NOT_OFFERED = {
    "api": {"SHUTDOWN_GRACE_SECONDS"},
    "operator": {
        "CONCURRENCY",
        "DELIVERY_CONCURRENCY",
        "LEASE_SECONDS",
        "MISSED_WATCH_SECONDS",
        "ORPHAN_INPUT_SECONDS",
        "ORPHAN_SECRET_SECONDS",
        "WAITING_GRACE_SECONDS",
        "STORAGE_PATIENCE_SECONDS",
        "RETRY_DELAY_SECONDS",
        "WORKER_COMMAND",
    },
}
PROXY = (
    "proxy.httpProxy=http://proxy.example.com:3128",
    "proxy.httpsProxy=http://proxy.example.com:3128",
    "proxy.resolvesNames=true",
)
ROLE = "storage.webIdentity.roleArn=arn:aws:iam::123456789012:role/stems"


@pytest.mark.parametrize("component", DEPLOYMENTS)
def test_every_variable_is_a_setting_and_every_setting_is_offered(
    render: Render, component: str
) -> None:
    volume = "worker.models.volume.persistentVolumeClaim.claimName=models"
    rendered = render(OWN_REGISTRY, volume, ROLE, *PROXY)
    given = {name.upper() for name in environment(rendered, component)} - OTHER_NAMES
    known = {name.upper() for name in SETTINGS[component].model_fields}
    assert given == known - NOT_OFFERED[component]


@pytest.mark.parametrize("files", [(), (LOCAL,)], ids=["default", "local"])
@pytest.mark.parametrize("component", DEPLOYMENTS)
def test_the_settings_can_be_read(
    render: Render, monkeypatch: pytest.MonkeyPatch, component: str, files: tuple[Path, ...]
) -> None:
    found = environment(render(files=files), component)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    settings = SETTINGS[component]()
    assert settings.namespace == "audio"
    assert settings.environment == ("local" if files else "prod")
    assert settings.host == ("127.0.0.9" if files else "::")


@pytest.mark.parametrize("files", [(), (LOCAL,)], ids=["default", "local"])
def test_the_scratch_disk_holds_the_longest_song(render: Render, files: tuple[Path, ...]) -> None:
    """Acceptance 35: the song, its four stems and their files, all of them in float32."""
    found = environment(render(files=files), "operator")
    song = int(found["MAX_AUDIO_SECONDS"]) * 44100 * 8
    needed = 1.02 * (1 + 4 + 4) * song
    assert bytes_of(found["WORKER_SCRATCH_SIZE"]) >= needed


def test_values_with_structure_arrive_whole(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = render(
        "queue.priorityClasses[0].at_least=50",
        "queue.priorityClasses[0].name=urgent",
        "worker.nodeSelector.gpu=a10",
        "worker.tolerations[0].key=nvidia.com/gpu",
        "worker.tolerations[0].operator=Exists",
        "imagePullSecrets={registry}",
        "source.maxBytes=4294967296",
        "worker.models.volume.persistentVolumeClaim.claimName=models",
    )
    for name, value in environment(rendered, "operator").items():
        monkeypatch.setenv(name, value)
    settings = splitjob_operator.core.settings.Settings()
    assert settings.priority_class(60, "demo") == "urgent"
    assert settings.priority_class(49, "demo") is None
    assert settings.worker_node_selector == {"gpu": "a10"}
    assert settings.worker_tolerations == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert settings.worker_image_pull_secrets == ["registry"]
    assert settings.max_source_bytes == 2**32
    assert settings.worker_model_volume == {"persistentVolumeClaim": {"claimName": "models"}}


@pytest.mark.parametrize("component", DEPLOYMENTS)
def test_the_models_offered_are_known_to_both(render: Render, component: str) -> None:
    found = environment(render("models.offered={htdemucs,demo}"), component)
    assert found["MODELS"] == "htdemucs,demo"


def test_the_crd_is_inserted_unchanged(manifests: list[Manifest], render: Render) -> None:
    shipped = one(manifests, "CustomResourceDefinition")
    generated = crd.custom_resource_definition()
    assert shipped["spec"] == generated["spec"]
    assert shipped["metadata"]["name"] == generated["metadata"]["name"]
    assert shipped["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert (
        "annotations" not in one(render("crds.keep=false"), "CustomResourceDefinition")["metadata"]
    )
    assert "CustomResourceDefinition" not in {m["kind"] for m in render("crds.enabled=false")}


def test_the_network_policy_of_the_workers_finds_them(manifests: list[Manifest]) -> None:
    """Acceptance 65: by the label that the operator gives every pod."""
    spec = one(manifests, "NetworkPolicy", "-worker")["spec"]
    assert spec["podSelector"]["matchExpressions"] == [
        {"key": resource.LABEL_SPLITJOB, "operator": "Exists"}
    ]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    blocked = spec["egress"][1]["to"][0]["ipBlock"]["except"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(blocked)


def test_the_account_of_the_workers_has_no_rights(manifests: list[Manifest]) -> None:
    """Acceptance 65."""
    account = one(manifests, "ServiceAccount", "-worker")
    assert account["automountServiceAccountToken"] is False
    bound = [
        subject["name"]
        for m in manifests
        if m["kind"].endswith("RoleBinding")
        for subject in m["subjects"]
    ]
    assert account["metadata"]["name"] not in bound


@pytest.mark.parametrize("component", DEPLOYMENTS)
def test_nothing_is_disrupted_or_replaced_as_a_whole(
    render: Render, manifests: list[Manifest], component: str
) -> None:
    """Acceptance 71: of two operators one is there to lead."""
    spec = one(manifests, "Deployment", f"-{component}")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    name = f"{RELEASE}-track-tree-audio-{component}"
    assert budgets(manifests)[name]["maxUnavailable"] == 1
    assert name not in budgets(render(f"{component}.replicas=1"))


def budgets(manifests: list[Manifest]) -> dict[str, Any]:
    """Return the specs of the PodDisruptionBudgets by name."""
    found = [m for m in manifests if m["kind"] == "PodDisruptionBudget"]
    return {m["metadata"]["name"]: m["spec"] for m in found}


def test_each_replica_of_the_operator_has_a_name_of_its_own_in_one_lease(
    manifests: list[Manifest],
) -> None:
    found = {one["name"]: one for one in container(manifests, "operator")["env"]}
    field = found["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.name"
    lease = environment(manifests, "operator")["LEASE_NAME"]
    assert lease == f"{RELEASE}-track-tree-audio-operator"


def test_every_container_states_its_command(manifests: list[Manifest]) -> None:
    """The image's own entry point is not relied on: the process node knows none."""
    for component in DEPLOYMENTS:
        assert container(manifests, component)["command"]


def test_secrets_are_only_in_the_secret(render: Render) -> None:
    secrets = {"token": "TOKEN-7", "s3AccessKeyId": "ACCESS-7", "s3SecretAccessKey": "SECRET-7"}
    rendered = render(*(f"secrets.{name}={value}" for name, value in secrets.items()))
    others = [m for m in rendered if m["kind"] != "Secret"]
    for value in secrets.values():
        encoded = b64encode(value.encode()).decode()
        assert value not in json.dumps(others)
        assert encoded not in json.dumps(others)
        assert encoded in one(rendered, "Secret")["data"].values()


def test_a_secret_of_ones_own_is_used(render: Render) -> None:
    rendered = render("secrets.existingSecret=mine", needed=("storage.bucket=stems",))
    assert "Secret" not in {m["kind"] for m in rendered}
    for component in DEPLOYMENTS:
        references = [
            entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in container(rendered, component)["env"]
            if "secretKeyRef" in entry.get("valueFrom", {})
        ]
        assert set(references) == {"mine"}
    assert one(rendered, "ConfigMap", "-operator")["data"]["WORKER_SECRET_NAME"] == "mine"


def test_a_changed_setting_replaces_the_pods_it_concerns(render: Render) -> None:
    before, after = (
        {
            component: one(rendered, "Deployment", f"-{component}")["spec"]["template"]
            for component in DEPLOYMENTS
        }
        for rendered in (render(), render("worker.memory=9Gi"))
    )
    assert before["api"] == after["api"]
    assert before["operator"] != after["operator"]


def keys_of_values(values: dict[str, Any], path: str = "") -> set[str]:
    """Return the dotted names of all values; an empty map is a value."""
    names = set()
    for key, value in values.items():
        nested = isinstance(value, dict) and value
        names |= keys_of_values(value, f"{path}{key}.") if nested else {f"{path}{key}"}
    return names


def keys_of_schema(node: dict[str, Any], definitions: dict[str, Any], path: str = "") -> set[str]:
    """Return the dotted names of all values that a schema allows."""
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    if set(node.get("required", ())) != set(node.get("properties", "?")):
        # A part of a pod, or of another object. A key that must be there is one of values.yaml.
        return {path.rstrip(".")}
    names = (
        keys_of_schema(child, definitions, f"{path}{key}.")
        for key, child in node["properties"].items()
    )
    return set().union(*names)


def test_the_schema_allows_exactly_the_values_there_are() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    allowed = keys_of_schema(schema, schema["$defs"])
    found = keys_of_values(values)
    free = {name for name in found if any(name.startswith(f"{a}.") for a in allowed)}
    assert found - free == {
        name for name in allowed if not any(f.startswith(f"{name}.") for f in free)
    }


def test_every_value_is_explained_in_the_readme() -> None:
    text = (CHART / "README.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    missing = [key for key in values if not re.search(rf"`{re.escape(key)}[.`]", text)]
    assert not missing


REFUSED = {
    "foo=1": "additional properties 'foo' not allowed",
    "api.foo=1": "at '/api': additional properties 'foo' not allowed",
    "api.replicas=0": "at '/api/replicas': minimum: got 0, want 1",
    "api.replicas=two": "at '/api/replicas': got string, want integer",
    "crds.enabled=yes": "at '/crds/enabled': got string, want boolean",
    "environment=dev": "at '/environment': value must be one of 'prod', 'local'",
    "worker.memory=lots": "at '/worker/memory': value must be 'a quantity of bytes",
    "worker.device=gpu": "at '/worker/device': value must be one of",
    "worker.gpu.resourceName=gpu": "at '/worker/gpu/resourceName': value must be 'an extended",
    "secrets.token=new\\,": "secrets.token holds an empty token",
    "queue.maxActiveJobs=-1": "at '/queue/maxActiveJobs': minimum: got -1, want 0",
    "queue.runDeadlineSeconds=86401": "maximum: got 86,401, want 86,400",
    "source.allowedNetworks={10.0.0.1}": "at '/source/allowedNetworks/0': value must be 'a network",
    "webhooks.allowlist={ftp://x}": "at '/webhooks/allowlist/0': value must be 'a URL such as",
    "webhooks.allowlist=": "at '/webhooks/allowlist'",
    "webhooks.allowlist={http://example.com/hook}": "a webhook goes over https",
    "secrets.token=": "set secrets.token (openssl rand -hex 32 makes one)",
    "secrets.existingSecret=x": "put them into that Secret and remove them here",
    "secrets.s3AccessKeyId=x": "set both, or neither",
    "storage.bucket=": "Set storage.bucket to its name",
    "storage.bucket=Not_A_Bucket": "at '/storage/bucket': value must be 'the name of a bucket",
    "worker.gpu.count=0,worker.device=cuda": "Set the count, or worker.device to cpu",
    "queue.priorityClasses[0].name=x,queue.priorityClasses[0].at_least=0"
    ",queue.priorityClasses[0].at_most=-1": "x has at_least above at_most",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_bad_values_are_refused_with_a_reason(render: Render, setting: str) -> None:
    """Acceptance 68."""
    assert REFUSED[setting] in refusal(render, setting)

"""What the chart's values give to pods: images, users, certificates, proxies, resources."""

from typing import Any

import pytest
import yaml
from tests.support.chart import Render, environment, one, refusal
from tests.support.chart_pods import (
    COMPONENTS,
    DEMO,
    DEPLOYMENTS,
    DIGEST,
    env_of,
    images,
    pod,
    template_of,
)

from splitjob_operator.core.settings import Settings


class TestImages:
    def test_a_digest_takes_the_place_of_the_tag(self, render: Render) -> None:
        rendered = render(*(f"{c}.image.digest={DIGEST}" for c in COMPONENTS))
        assert images(rendered) == {c: f"track-tree-audio/{c}@{DIGEST}" for c in COMPONENTS}

    def test_one_registry_for_all_but_those_that_name_their_own(self, render: Render) -> None:
        rendered = render(
            "global.imageRegistry=registry.example.com/mirror",
            "worker.image.registry=gpu.example.com:5000",
            f"worker.image.digest={DIGEST}",
        )
        assert images(rendered) == {
            "api": "registry.example.com/mirror/track-tree-audio/api:0.1.0",
            "operator": "registry.example.com/mirror/track-tree-audio/operator:0.1.0",
            "worker": f"gpu.example.com:5000/track-tree-audio/worker@{DIGEST}",
        }


ADDED = {
    "podLabels": {"team": "audio"},
    "podAnnotations": {"note": "kept"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "audio",
    "extraEnv": [{"name": "EXTRA", "value": "$(HOSTNAME)"}],
    "extraVolumes": [{"name": "extra", "configMap": {"name": "x"}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra", "readOnly": True}],
    "podSecurityContext": {"supplementalGroups": [7]},
    "containerSecurityContext": {"runAsUser": 1000},
}


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_is_added_reaches_the_pods(
    render: Render, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, component: str
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({component: ADDED, "commonLabels": {"cost": "songs"}}))
    template = template_of(render(files=[values]), component, monkeypatch)
    metadata, spec = template["metadata"], template["spec"]
    (only,) = spec["containers"]
    assert {"team": "audio", "cost": "songs"}.items() <= metadata["labels"].items()
    assert metadata["annotations"]["note"] == "kept"
    for name in ("nodeSelector", "tolerations", "affinity"):
        assert spec[name] == ADDED[name]
    assert spec["priorityClassName"] == "audio"
    assert {"name": "EXTRA", "value": "$(HOSTNAME)"} in only["env"]
    assert ADDED["extraVolumes"][0] in spec["volumes"]  # type: ignore[index]
    assert ADDED["extraVolumeMounts"][0] in only["volumeMounts"]  # type: ignore[index]
    assert spec["securityContext"]["supplementalGroups"] == [7]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert only["securityContext"]["runAsUser"] == 1000
    assert only["securityContext"]["allowPrivilegeEscalation"] is False
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= metadata["labels"].items()


@pytest.mark.parametrize("component", COMPONENTS)
def test_users_and_groups_can_be_left_out(
    render: Render, monkeypatch: pytest.MonkeyPatch, component: str
) -> None:
    fields = ("runAsUser", "runAsGroup", "fsGroup")
    rendered = render(*(f"{component}.podSecurityContext.{field}=null" for field in fields))
    context = template_of(rendered, component, monkeypatch)["spec"]["securityContext"]
    assert not set(fields) & context.keys()
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_certificates_and_proxy_reach_every_pod(
    render: Render, monkeypatch: pytest.MonkeyPatch, component: str
) -> None:
    rendered = render(
        "caBundle.configMap=our-ca",
        "caBundle.key=bundle.pem",
        "proxy.httpProxy=http://proxy.example.com:3128",
        "proxy.httpsProxy=http://proxy.example.com:3128",
        "proxy.noProxy=10.0.0.0/8",
    )
    template = template_of(rendered, component, monkeypatch)
    (only,) = template["spec"]["containers"]
    found = env_of(template)
    paths = {found[name] for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")}
    assert paths == {"/etc/track-tree-audio-ca/ca.pem"}
    (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "ca-bundle")
    assert volume["configMap"] == {
        "name": "our-ca",
        "items": [{"key": "bundle.pem", "path": "ca.pem"}],
    }
    (mount,) = (m for m in only["volumeMounts"] if m["name"] == "ca-bundle")
    assert mount["mountPath"] == "/etc/track-tree-audio-ca"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert found[name] == "http://proxy.example.com:3128"
    assert found["NO_PROXY"] == found["no_proxy"]
    exempt = found["NO_PROXY"].split(",")
    assert {"10.0.0.0/8", "$(KUBERNETES_SERVICE_HOST)", ".svc"} <= set(exempt)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_proxy_with_a_password_comes_from_a_secret(
    render: Render, monkeypatch: pytest.MonkeyPatch, component: str
) -> None:
    rendered = render("proxy.existingSecret=our-proxy", "proxy.resolvesNames=true")
    found = env_of(template_of(rendered, component, monkeypatch))
    required = {"secretKeyRef": {"name": "our-proxy", "key": "HTTPS_PROXY"}}
    assert found["HTTPS_PROXY"] == found["https_proxy"] == required
    assert found["http_proxy"]["secretKeyRef"] == {
        "name": "our-proxy",
        "key": "HTTP_PROXY",
        "optional": True,
    }
    assert found["PROXY_RESOLVES_NAMES"] == "true"
    assert ".svc" in found["NO_PROXY"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_tells_its_spans_where_a_collector_is(
    render: Render, monkeypatch: pytest.MonkeyPatch, component: str
) -> None:
    collector = "http://otel-collector.monitoring:4318"
    rendered = render(f"tracing.endpoint={collector}", "tracing.existingSecret=of-the-collector")
    found = env_of(template_of(rendered, component, monkeypatch))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == collector
    reference = {"name": "of-the-collector", "key": "OTEL_EXPORTER_OTLP_HEADERS"}
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == {"secretKeyRef": reference}
    plain = env_of(template_of(render(), component, monkeypatch))
    assert not [name for name in plain if name.startswith("OTEL_")]


def test_no_password_is_printed(render: Render) -> None:
    assert "do-not-tell" not in refusal(render, "proxy.httpProxy=http://me:do-not-tell@proxy:3128")


def test_the_bundle_may_lie_in_a_secret(render: Render) -> None:
    volumes = pod(render("caBundle.secret=our-ca"), "api")["spec"]["volumes"]
    assert volumes[-1]["secret"] == {
        "secretName": "our-ca",
        "items": [{"key": "ca.crt", "path": "ca.pem"}],
    }


def test_a_quota_on_everything_is_satisfied(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace may demand requests and limits of CPU, memory and disk of every container."""
    limited = render("worker.cpuLimit=4", *(f"{c}.resources.limits.cpu=500m" for c in DEPLOYMENTS))
    templates = [template_of(limited, component, monkeypatch) for component in COMPONENTS]
    templates.append(one(limited, "Pod", "-test"))
    for template in templates:
        (only,) = template["spec"]["containers"]
        for kind in ("requests", "limits"):
            wanted = {"cpu", "memory", "ephemeral-storage"}
            assert wanted <= only["resources"][kind].keys(), template["metadata"]


def test_resources_of_models_reach_the_operator(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = render(
        "worker.gpu.claimTemplate=slice",
        f"{DEMO}.gpu.count=0,{DEMO}.memory=3Gi,{DEMO}.cpu=1",
        "models.resources.htdemucs.topologySpreadConstraints[0].topologyKey=zone"
        ",models.resources.htdemucs.topologySpreadConstraints[0].maxSkew=1"
        ",models.resources.htdemucs.topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
    )
    for name, value in environment(rendered, "operator").items():
        monkeypatch.setenv(name, value)
    found = Settings()
    demo = found.resources_of("demo")
    assert (demo.device, demo.cpu, demo.memory, demo.memory_retry) == ("cpu", "1", "3Gi", "6Gi")
    (spread,) = found.resources_of("htdemucs").topology_spread_constraints
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    assert found.resources_of("htdemucs").gpu_claim == "slice"

"""The chart's options, one by one: what each renders, and what each refuses in words."""

import json
import re
from typing import Any

import pytest
import yaml
from tests.support.chart import (
    CHART,
    OWN_REGISTRY,
    RELEASE,
    Manifest,
    Render,
    container,
    environment,
    one,
    refusal,
)

from splitjob import workload
from splitjob.resource import API_VERSION, KIND, LABEL_SPLITJOB
from splitjob.status import Attempt
from splitjob_operator.core import additions, worker_job
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings

DEPLOYMENTS = ("api", "operator")
COMPONENTS = (*DEPLOYMENTS, "worker")
FULL = f"{RELEASE}-track-tree-audio"
DIGEST = f"sha256:{'a' * 64}"
ROLE = "storage.webIdentity.roleArn=arn:aws:iam::123456789012:role/stems"
DOWNLOADS = "api.storage.enabled=true"
UPLOADS = "api.storage.uploads.enabled=true"
SECRET_KEY = "secrets.apiS3SecretAccessKey=reader-key"
READER = "api.storage.roleArn=arn:aws:iam::123456789012:role/reader"


def pod(manifests: list[Manifest], component: str) -> dict[str, Any]:
    """Return the pod template of a component's Deployment."""
    template = one(manifests, "Deployment", f"-{component}")["spec"]["template"]
    return dict(template)


def worker(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch, **request: Any
) -> dict[str, Any]:
    """Return the pod template that the operator makes when it is configured so."""
    for name, value in environment(manifests, "operator").items():
        monkeypatch.setenv(name, value)
    asked = {
        "versionId": "v1",
        "model": "demo",
        "source": {"url": "https://audio.example.com/song.wav"},
        "webhook": {"url": "https://hooks.example.com/x"},
    }
    view = SplitJob.of(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": "one",
                "namespace": "audio",
                "uid": "1",
                "resourceVersion": "1",
                "creationTimestamp": "2026-11-29T12:00:00Z",
            },
            "spec": {"request": asked | request},
        }
    )
    built = worker_job.build_job(view, Attempt(number=1, job_name="one-1"), Settings())
    return dict(built["spec"]["template"])


def template_of(
    manifests: list[Manifest], component: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return a component's pod template, the worker's as the operator makes it."""
    if component == "worker":
        return worker(manifests, monkeypatch)
    return pod(manifests, component)


def env_of(template: dict[str, Any]) -> dict[str, Any]:
    (only,) = template["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in only["env"]}


def images(manifests: list[Manifest]) -> dict[str, str]:
    found = {component: container(manifests, component)["image"] for component in DEPLOYMENTS}
    return {**found, "worker": environment(manifests, "operator")["WORKER_IMAGE"]}


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


@pytest.mark.parametrize("name", ["worker", "operator", "api"])
def test_the_way_to_the_proxy_is_open(render: Render, name: str) -> None:
    def ways(*settings: str) -> list[Any]:
        with_storage = ("api.storage.enabled=true", *settings)
        egress = one(render(*with_storage), "NetworkPolicy", f"-{name}")["spec"]["egress"]
        return [way for way in egress if way not in usual]

    def block(cidr: str, port: int) -> Any:
        ports = [{"port": port, "protocol": "TCP"}]
        return {"ports": ports, "to": [{"ipBlock": {"cidr": cidr}}]}

    usual: list[Any] = []
    usual = ways()
    by_name = "proxy.httpsProxy=http://proxy.example.com:3128"
    assert ways(by_name) == []
    assert ways("proxy.httpsProxy=http://10.1.2.3:3128") == [block("10.1.2.3/32", 3128)]
    assert ways("proxy.httpsProxy=https://[fd00::1]") == [block("fd00::1/128", 443)]
    there = (
        "networkPolicy.proxy.to[0].ipBlock.cidr=10.1.0.0/16",
        "networkPolicy.proxy.ports={3128}",
    )
    assert ways(by_name, *there) == [block("10.1.0.0/16", 3128)]


def test_no_password_is_printed(render: Render) -> None:
    assert "do-not-tell" not in refusal(render, "proxy.httpProxy=http://me:do-not-tell@proxy:3128")


def test_the_bundle_may_lie_in_a_secret(render: Render) -> None:
    volumes = pod(render("caBundle.secret=our-ca"), "api")["spec"]["volumes"]
    assert volumes[-1]["secret"] == {
        "secretName": "our-ca",
        "items": [{"key": "ca.crt", "path": "ca.pem"}],
    }


class TestIdentities:
    def test_a_role_for_operator_and_workers_by_a_projected_token(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered = render(ROLE, "storage.region=eu-central-1")
        for template in (pod(rendered, "operator"), worker(rendered, monkeypatch)):
            found = env_of(template)
            assert found["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/stems"
            (only,) = template["spec"]["containers"]
            (mount,) = (m for m in only["volumeMounts"] if m["name"] == "aws-token")
            assert found["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/token"
            (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "aws-token")
            assert volume["projected"]["sources"] == [
                {
                    "serviceAccountToken": {
                        "audience": "sts.amazonaws.com",
                        "expirationSeconds": 3600,
                        "path": "token",
                    }
                }
            ]
        assert "AWS_ROLE_ARN" not in env_of(pod(rendered, "api"))

    def test_a_worker_that_only_uploads_gets_none(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads = {"drums": {"url": "https://put.example.com/d"}}
        template = worker(render(ROLE), monkeypatch, uploads=uploads)
        assert "AWS_ROLE_ARN" not in env_of(template)
        assert "aws-token" not in {volume["name"] for volume in template["spec"]["volumes"]}

    def test_pod_identity_opens_its_agent_and_nothing_else(self, render: Render) -> None:
        agent = {
            "ports": [{"port": 80, "protocol": "TCP"}],
            "to": [
                {"ipBlock": {"cidr": "169.254.170.23/32"}},
                {"ipBlock": {"cidr": "fd00:ec2::23/128"}},
            ],
        }
        without, opened = render(), render("storage.podIdentity=true")
        for component in COMPONENTS:
            before = one(without, "NetworkPolicy", f"-{component}")["spec"]["egress"]
            after = one(opened, "NetworkPolicy", f"-{component}")["spec"]["egress"]
            added = [rule for rule in after if rule not in before]
            assert added == ([] if component == "api" else [agent])
            assert len(after) == len(before) + len(added)

    def test_the_api_signs_downloads_with_keys_of_its_own(self, render: Render) -> None:
        without, given = render(), render(DOWNLOADS, "secrets.apiS3AccessKeyId=reader", SECRET_KEY)
        assert environment(without, "api")["S3_BUCKET"] == ""
        assert not {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"} & env_of(pod(without, "api")).keys()
        assert environment(given, "api")["S3_BUCKET"] == "stems"
        keys = {
            component: env_of(pod(given, component))["S3_ACCESS_KEY_ID"]["secretKeyRef"]["key"]
            for component in DEPLOYMENTS
        }
        assert keys == {"api": "API_S3_ACCESS_KEY_ID", "operator": "S3_ACCESS_KEY_ID"}
        assert keys["api"] in one(given, "Secret")["data"]
        renamed = render(
            DOWNLOADS,
            "secrets.existingSecret=vault",
            "secrets.keys.apiS3AccessKeyId=reader-id",
            needed=("storage.bucket=stems",),
        )
        source = env_of(pod(renamed, "api"))["S3_ACCESS_KEY_ID"]["secretKeyRef"]
        assert (source["name"], source["key"], source["optional"]) == ("vault", "reader-id", True)

    def test_the_api_signs_for_the_address_that_callers_reach(self, render: Render) -> None:
        inside = "storage.endpoint=https://minio.storage.svc:9000"
        outside = "api.storage.publicEndpoint=https://stems.example.com"
        rendered = render(inside, DOWNLOADS, outside)
        assert environment(rendered, "api")["S3_ENDPOINT"] == "https://stems.example.com"
        assert environment(rendered, "operator")["S3_ENDPOINT"].startswith("https://minio")
        same = render(inside, DOWNLOADS)
        assert environment(same, "api")["S3_ENDPOINT"].startswith("https://minio")

    def test_the_api_reads_the_bucket_where_the_others_find_it(self, render: Render) -> None:
        inside = "storage.endpoint=https://minio.storage.svc:9000"
        outside = "api.storage.publicEndpoint=https://stems.example.com"
        rendered = render(inside, DOWNLOADS, outside)
        assert environment(rendered, "api")["S3_READ_ENDPOINT"].startswith("https://minio")
        assert environment(render(inside, DOWNLOADS), "api")["S3_READ_ENDPOINT"] == ""

    def test_the_api_reaches_the_bucket_only_where_it_reads_it(self, render: Render) -> None:
        egress = {
            downloads: json.dumps(one(rendered, "NetworkPolicy", "-api")["spec"]["egress"])
            for downloads, rendered in ((False, render()), (True, render(DOWNLOADS)))
        }
        assert "0.0.0.0/0" not in egress[False]
        assert "0.0.0.0/0" in egress[True]
        assert "169.254.0.0/16" in egress[True]  # all but what is inside, metadata included

    def test_the_api_takes_files_where_it_is_told_to_and_reads_them_where_they_are(
        self, render: Render
    ) -> None:
        """Where a file lies, and how large it may be, is what operator and workers are told."""
        place = ("storage.prefix=songs/prod", "source.maxBytes=1000")
        rendered = render(DOWNLOADS, UPLOADS, "api.storage.uploads.urlSeconds=120", *place)
        api, operator = environment(rendered, "api"), environment(rendered, "operator")
        assert (api["UPLOADS_ENABLED"], api["UPLOAD_URL_SECONDS"]) == ("true", "120")
        for name in ("S3_BUCKET", "STORAGE_PREFIX", "MAX_SOURCE_BYTES"):
            assert api[name] == operator[name] != "", name
        assert environment(render(DOWNLOADS), "api")["UPLOADS_ENABLED"] == "false"

    def test_the_api_may_have_a_role_of_its_own(self, render: Render) -> None:
        rendered = render(ROLE, DOWNLOADS, READER)
        found = env_of(pod(rendered, "api"))
        assert found["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/reader"
        mounts = container(rendered, "api")["volumeMounts"]
        assert "aws-token" in {mount["name"] for mount in mounts}
        assert env_of(pod(rendered, "operator"))["AWS_ROLE_ARN"].endswith("role/stems")
        agent = render("storage.podIdentity=true", DOWNLOADS)
        egress = one(agent, "NetworkPolicy", "-api")["spec"]["egress"]
        assert "169.254.170.23/32" in json.dumps(egress)

    def test_the_keys_of_a_secret_may_have_other_names(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered = render(
            "secrets.existingSecret=vault",
            "secrets.keys.token=signing-token",
            "secrets.keys.s3AccessKeyId=id",
            "secrets.keys.s3SecretAccessKey=key",
            needed=("storage.bucket=stems",),
        )
        settings = one(rendered, "ConfigMap", "-operator")["data"]
        keys = json.loads(settings["WORKER_SECRET_KEYS"])
        for component in DEPLOYMENTS:
            for variable, source in env_of(pod(rendered, component)).items():
                if isinstance(source, dict) and "secretKeyRef" in source:
                    assert source["secretKeyRef"]["key"] == keys[variable]
        assert keys == {
            "DEMUCSSVC_TOKEN": "signing-token",
            "S3_ACCESS_KEY_ID": "id",
            "S3_SECRET_ACCESS_KEY": "key",
        }
        monkeypatch.setenv("WORKER_SECRET_KEYS", settings["WORKER_SECRET_KEYS"])
        assert Settings(worker_image="w").worker_secret_keys == keys

    def test_nothing_of_somebody_elses_secret_is_in_a_checksum(self, render: Render) -> None:
        rendered = render("secrets.existingSecret=vault", needed=("storage.bucket=stems",))
        for component in DEPLOYMENTS:
            assert "checksum/secrets" not in pod(rendered, component)["metadata"]["annotations"]


class TestScaling:
    def test_an_autoscaler_counts_the_replicas_alone(self, render: Render) -> None:
        rendered = render("api.autoscaling.enabled=true", "api.autoscaling.maxReplicas=9")
        assert "replicas" not in one(rendered, "Deployment", "-api")["spec"]
        spec = one(rendered, "HorizontalPodAutoscaler")["spec"]
        assert spec["scaleTargetRef"]["name"] == f"{FULL}-api"
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
        assert one(rendered, "PodDisruptionBudget", "-api")["spec"]["maxUnavailable"] == 1

    def test_a_budget_never_says_how_many_must_be_there(self, render: Render) -> None:
        for component in ("api", "operator"):
            budget = f"{component}.podDisruptionBudget"
            part = one(render(f"{budget}.maxUnavailable=25%"), "PodDisruptionBudget", component)
            assert part["spec"]["maxUnavailable"] == "25%"
            assert "minAvailable" not in part["spec"]
            off = render(f"{budget}.enabled=false")
            left = [m["metadata"]["name"] for m in off if m["kind"] == "PodDisruptionBudget"]
            assert left == [
                f"{FULL}-{other}" for other in ("api", "operator") if other != component
            ]


class TestNetwork:
    def test_families_of_the_services(self, render: Render) -> None:
        rendered = render(
            "api.service.ipFamilies={IPv6,IPv4}", "api.service.ipFamilyPolicy=PreferDualStack"
        )
        spec = one(rendered, "Service")["spec"]
        assert spec["ipFamilies"] == ["IPv6", "IPv4"]
        assert spec["ipFamilyPolicy"] == "PreferDualStack"
        assert not {"ipFamilies", "ipFamilyPolicy"} & one(render(), "Service")["spec"].keys()

    def test_an_ingress(self, render: Render) -> None:
        rendered = render(
            "ingress.enabled=true",
            "ingress.className=nginx",
            "ingress.hosts={stems.example.com}",
            "ingress.tls[0].secretName=tls,ingress.tls[0].hosts={stems.example.com}",
        )
        spec = one(rendered, "Ingress")["spec"]
        assert spec["ingressClassName"] == "nginx"
        assert spec["tls"] == [{"secretName": "tls", "hosts": ["stems.example.com"]}]
        (rule,) = spec["rules"]
        (path,) = rule["http"]["paths"]
        assert rule["host"] == "stems.example.com"
        assert path["backend"]["service"] == {"name": f"{FULL}-api", "port": {"name": "http"}}

    def test_a_route_of_the_gateway_api(self, render: Render) -> None:
        rendered = render(
            "httpRoute.enabled=true",
            "httpRoute.parentRefs[0].name=public",
            "httpRoute.hostnames={stems.example.com}",
        )
        route = one(rendered, "HTTPRoute")
        assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
        assert route["spec"]["parentRefs"] == [{"name": "public"}]
        assert route["spec"]["rules"][0]["backendRefs"] == [{"name": f"{FULL}-api", "port": 80}]

    def test_a_prefix_is_stripped_by_the_route_and_told_to_the_api(self, render: Render) -> None:
        rendered = render(
            "api.rootPath=/stems",
            "httpRoute.enabled=true,httpRoute.parentRefs[0].name=public",
            "ingress.enabled=true,ingress.hosts={stems.example.com}",
        )
        (rule,) = one(rendered, "HTTPRoute")["spec"]["rules"]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/stems"}}]
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        assert rule["filters"] == [{"type": "URLRewrite", "urlRewrite": rewrite}]
        (host,) = one(rendered, "Ingress")["spec"]["rules"]
        assert host["http"]["paths"][0]["path"] == "/stems"
        assert environment(rendered, "api")["ROOT_PATH"] == "/stems"

    def test_each_job_gets_the_policy_of_the_workers_for_itself(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that a worker that outlives the chart stays as closed as it was."""
        rendered = render("storage.podIdentity=true")
        charts = one(rendered, "NetworkPolicy", "-worker")["spec"]
        for name, value in environment(rendered, "operator").items():
            monkeypatch.setenv(name, value)
        spec = Settings().worker_network_policy
        assert spec
        made = {
            "name": "one-1",
            "namespace": "audio",
            "uid": "7",
            "labels": {LABEL_SPLITJOB: "one"},
        }
        own = worker_job.network_policy({"metadata": made}, spec)
        selected = {"podSelector": {"matchLabels": {LABEL_SPLITJOB: "one"}}}
        assert own["spec"] == {**charts, **selected}
        (owner,) = own["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Job", "7")
        off = one(render("networkPolicy.enabled=false"), "ConfigMap", "-operator")["data"]
        assert "WORKER_NETWORK_POLICY" not in off


class TestMonitors:
    def test_services_and_their_ports(self, render: Render) -> None:
        rendered = render(
            "metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.release=prom"
        )
        for component in DEPLOYMENTS:
            monitor = one(rendered, "ServiceMonitor", f"-{component}")
            service = one(rendered, "Service", f"-{component}")
            wanted = monitor["spec"]["selector"]["matchLabels"]
            assert monitor["metadata"]["labels"]["release"] == "prom"
            assert wanted.items() <= service["metadata"]["labels"].items()
            (endpoint,) = monitor["spec"]["endpoints"]
            assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}

    def test_pods_and_their_ports(self, render: Render) -> None:
        rendered = render("metrics.podMonitor.enabled=true")
        for component in DEPLOYMENTS:
            monitor = one(rendered, "PodMonitor", f"-{component}")["spec"]
            labels = pod(rendered, component)["metadata"]["labels"]
            assert monitor["selector"]["matchLabels"].items() <= labels.items()
            ports = {port["name"] for port in container(rendered, component)["ports"]}
            assert {e["port"] for e in monitor["podMetricsEndpoints"]} <= ports
        services = [m["metadata"]["name"] for m in rendered if m["kind"] == "Service"]
        assert services == [f"{FULL}-api"], "nothing but a ServiceMonitor needs the operator's"


def test_nothing_of_others_is_rendered_unless_asked(manifests: list[Manifest]) -> None:
    groups = {m["apiVersion"].partition("/")[0] for m in manifests}
    assert not groups & {"monitoring.coreos.com", "gateway.networking.k8s.io", "autoscaling"}
    assert "Ingress" not in {m["kind"] for m in manifests}


def test_the_release_marks_its_namespace(manifests: list[Manifest]) -> None:
    mark = one(manifests, "ConfigMap", "-installation")
    assert mark["metadata"]["name"] == "track-tree-audio-installation"
    assert mark["data"] == {"release": RELEASE}
    for component in DEPLOYMENTS:
        assert environment(manifests, component)["RELEASE"] == RELEASE


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


def test_rendered_twice_it_is_the_same(render: Render) -> None:
    """Nothing is random or dated: what renders charts again and again sees no difference."""
    assert render() == render()


def test_the_chart_refuses_what_the_operator_would_refuse(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (CHART / "templates" / "_refusals.tpl").read_text()
    listed = re.search(r"workerEnv\" -}}\n\[(.*)\]", text)
    assert listed
    assert set(listed[1].split(", ")) == additions.OWN_VARIABLES
    everything = worker(
        render(OWN_REGISTRY, "storage.prefix=p"),
        monkeypatch,
        secretName="one",
    )
    assert env_of(everything).keys() <= additions.OWN_VARIABLES
    assert {v["name"] for v in everything["spec"]["volumes"]} <= additions.OWN_VOLUMES
    assert workload.ENV_SECRET_DIR in env_of(everything)


DEMO = "models.resources.demo"
TOKEN = "worker.extraVolumes[0].projected.sources[0].serviceAccountToken"
REFUSED = {
    READER: "api.storage.enabled is not",
    UPLOADS: "api.storage.enabled is not",
    "api.storage.uploads.urlSeconds=59": "at '/api/storage/uploads/urlSeconds'",
    "api.storage.publicEndpoint=https://a.example.com": "api.storage.enabled is not",
    f"{DOWNLOADS},secrets.apiS3AccessKeyId=reader": "set both, or neither",
    f"{DOWNLOADS},{READER},storage.podIdentity=true": "keep one of them",
    f"{DOWNLOADS},{READER},storage.region=auto": "is none of its regions",
    "api.storage.urlSeconds=59": "at '/api/storage/urlSeconds'",
    "api.image.tag=1@sha256:aa": "at '/api/image/tag'",
    f"worker.image.repository=r.example/w@{DIGEST}": "at '/worker/image/repository'",
    "worker.image.digest=sha256:aa": "at '/worker/image/digest'",
    "worker.image.repository=a.example:5000/w,worker.image.registry=b.example": "only the path",
    "api.image.repository=a.example:5000/w,global.imageRegistry=b.example": "only the path",
    "api.extraEnv[0].name=LOG_LEVEL": "api.extraEnv has LOG_LEVEL, which the chart sets itself",
    "operator.extraEnv[0].name=HOST": "operator.extraEnv has HOST, which the chart sets itself",
    "worker.extraEnv[0].name=DEVICE": "worker.extraEnv has DEVICE, which the chart sets itself",
    "worker.extraEnv[0].name=A,worker.extraEnv[1].name=A": "has A more than once",
    "caBundle.secret=x,worker.extraEnv[0].name=SSL_CERT_FILE": "which the chart sets itself",
    "worker.extraVolumes[0].name=scratch,worker.extraVolumes[0].emptyDir.medium=": "is taken",
    "api.extraVolumes[0].name=root,api.extraVolumes[0].hostPath.path=/": "at '/api/extraVolumes/0'",
    "api.extraVolumeMounts[0].name=x,api.extraVolumeMounts[0].mountPath=/x": "not in api.extraV",
    "operator.extraVolumes[0].name=x,operator.extraVolumes[0].emptyDir.medium="
    ",operator.extraVolumeMounts[0].name=x,operator.extraVolumeMounts[0].mountPath=/tmp/": (
        "/tmp/, where something is mounted already"
    ),
    f"worker.extraVolumes[0].name=t,{TOKEN}.path=token": "a token for the API server",
    "api.podSecurityContext.runAsNonRoot=false": "at '/api/podSecurityContext/runAsNonRoot'",
    "worker.podSecurityContext.runAsUser=0": "at '/worker/podSecurityContext/runAsUser'",
    "worker.containerSecurityContext.privileged=true": "/worker/containerSecurityContext/privil",
    "operator.containerSecurityContext.capabilities=null": "/operator/containerSecurityContext",
    "commonLabels.app\\.kubernetes\\.io/name=x": "commonLabels has app.kubernetes.io/name",
    f"worker.podLabels.{LABEL_SPLITJOB.replace('.', chr(92) + '.')}=x": "worker.podLabels has",
    "api.podLabels.pod-template-hash=x": "api.podLabels has pod-template-hash",
    "caBundle.secret=x,caBundle.configMap=y": "name one of the two",
    "storage.kmsKeyId=alias/x": "storage.serverSideEncryption is not aws:kms",
    "storage.storageClass=GLACIER": "can be read at once",
    "storage.checksum=crc64": "at '/storage/checksum'",
    "proxy.noProxy=10.0.0.0/8": "but no proxy is",
    "proxy.resolvesNames=true": "but no proxy is",
    "networkPolicy.proxy.ports[0]=3128": "say where the proxy is",
    "tracing.existingSecret=x": "say where the collector is",
    "tracing.endpoint=collector:4318": "at '/tracing/endpoint'",
    "proxy.existingSecret=x,proxy.httpsProxy=http://proxy:3128": "keep one of them",
    "proxy.httpsProxy=http://me:do-not-tell@proxy:3128": "put the whole URL into a Secret",
    "proxy.httpsProxy=proxy:3128": "at '/proxy/httpsProxy'",
    f"{ROLE},storage.podIdentity=true": "keep one of them",
    f"{ROLE},storage.region=auto": "is none of its regions",
    "storage.webIdentity.roleArn=stems": "at '/storage/webIdentity/roleArn'",
    "api.autoscaling.enabled=true,api.autoscaling.minReplicas=7": "swap them",
    "api.autoscaling.enabled=true,api.resources.requests.cpu=null": "missing property 'cpu'",
    "api.podDisruptionBudget.maxUnavailable=0": "at '/api/podDisruptionBudget/maxUnavailable'",
    "api.podDisruptionBudget.maxUnavailable=0%": "at '/api/podDisruptionBudget/maxUnavailable'",
    "api.service.ipFamilies={IPv4,IPv6}": "set api.service.ipFamilyPolicy",
    "api.service.ipFamilies={IPv5}": "at '/api/service/ipFamilies/0'",
    "ingress.enabled=true": "set ingress.hosts",
    "httpRoute.enabled=true": "set httpRoute.parentRefs",
    "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true": "enable one",
    "api.rootPath=stems/": "at '/api/rootPath'",
    "api.rateLimit.perSecond=-1": "at '/api/rateLimit/perSecond'",
    "api.keepAliveSeconds=0": "at '/api/keepAliveSeconds'",
    "api.kubernetesTokens.audience=a b": "at '/api/kubernetesTokens/audience'",
    "kueue.priorityClasses[0].name=high": "kueue.localQueue is not",
    "kueue.localQueue=a,kueue.priorityClasses[0].name=b,kueue.priorityClasses[0].at_most=-101": (
        "at '/kueue/priorityClasses/0/at_most'"
    ),
    "worker.podLabels.kueue\\.x-k8s\\.io/queue-name=a": "set kueue.localQueue in its place",
    "models.resources.nope.cpu=1": "models.resources has nope, which the registry has not",
    f"{DEMO}.memory=8Gi,{DEMO}.memoryRetry=7Gi": f"Set {DEMO}.memoryRetry to more",
    f"{DEMO}.memoryRetry=5Gi": "The memory of demo (6Gi) is above that of its retry (5Gi)",
    f"{DEMO}.memory=512m": "write the unit",
    f"{DEMO}.cpuLimit=1": "The cpu of demo (2) is above its cpuLimit (1)",
    f"{DEMO}.scratchSize=30Gi,worker.ephemeralStorage=25Gi": "The scratchSize of demo (30Gi)",
    f"{DEMO}.device=cuda,{DEMO}.gpu.count=0": "The device of demo is cuda, but its gpu.count is 0",
    f"{DEMO}.gpu.claimTemplate=a,{DEMO}.gpu.count=1": "in the place of resourceName and count",
    f"{DEMO}.gpu.resourceName=gpu": "at '/models/resources/demo/gpu/resourceName'",
    f"{DEMO}.image=x": "additional properties 'image' not allowed",
    "queue.keepFinishedJobsSeconds=-1": "at '/queue/keepFinishedJobsSeconds'",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_cannot_work_is_refused_with_a_reason(render: Render, setting: str) -> None:
    assert REFUSED[setting] in refusal(render, setting)

"""The chart's network policies, its ways in, and the way to a proxy."""

from typing import Any

import pytest
from tests.support.chart import Render, environment, one
from tests.support.chart_pods import FULL

from splitjob.resource import LABEL_SPLITJOB
from splitjob_operator.core import worker_job
from splitjob_operator.core.settings import Settings


def ways(render: Render, name: str, *settings: str) -> list[Any]:
    """Return what these settings open of the ways out of a component."""

    def open_with(*settings: str) -> list[Any]:
        spec = one(render("api.storage.enabled=true", *settings), "NetworkPolicy", f"-{name}")[
            "spec"
        ]
        return list(spec["egress"])

    usual = open_with()
    return [way for way in open_with(*settings) if way not in usual]


def block(cidr: str, port: int) -> Any:
    ports = [{"port": port, "protocol": "TCP"}]
    return {"ports": ports, "to": [{"ipBlock": {"cidr": cidr}}]}


@pytest.mark.parametrize("name", ["worker", "operator", "api"])
def test_the_way_to_the_proxy_is_open(render: Render, name: str) -> None:
    by_name = "proxy.httpsProxy=http://proxy.example.com:3128"
    assert ways(render, name, by_name) == []
    by_address = "proxy.httpsProxy=http://10.1.2.3:3128"
    assert ways(render, name, by_address) == [block("10.1.2.3/32", 3128)]
    assert ways(render, name, "proxy.httpsProxy=https://[fd00::1]") == [block("fd00::1/128", 443)]
    there = (
        "networkPolicy.proxy.to[0].ipBlock.cidr=10.1.0.0/16",
        "networkPolicy.proxy.ports={3128}",
    )
    assert ways(render, name, by_name, *there) == [block("10.1.0.0/16", 3128)]


@pytest.mark.parametrize("name", ["worker", "operator", "api"])
def test_the_way_to_the_collector_of_traces_is_open(render: Render, name: str) -> None:
    by_name = "tracing.endpoint=http://otel-collector.monitoring:4318"
    assert ways(render, name, by_name) == []
    by_address = "tracing.endpoint=http://10.1.2.3:4318"
    assert ways(render, name, by_address) == [block("10.1.2.3/32", 4318)]
    there = (
        "networkPolicy.tracing.to[0].ipBlock.cidr=10.1.0.0/16",
        "networkPolicy.tracing.ports={4318}",
    )
    assert ways(render, name, by_name, *there) == [block("10.1.0.0/16", 4318)]
    without_storage = render("api.storage.enabled=false", by_name, *there)
    spec = one(without_storage, "NetworkPolicy", f"-{name}")["spec"]
    assert block("10.1.0.0/16", 4318) in spec["egress"], "also where the API needs no bucket"


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

"""What the chart renders only where it is asked for it: scaling, monitors."""

from tests.support.chart import RELEASE, Manifest, Render, container, environment, one
from tests.support.chart_pods import DEPLOYMENTS, FULL, pod


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


def test_rendered_twice_it_is_the_same(render: Render) -> None:
    """Nothing is random or dated: what renders charts again and again sees no difference."""
    assert render() == render()

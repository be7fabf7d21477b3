"""Dashboard, alert rules and the pages about them, against the metrics of the code."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest
from tests.support.chart import NAMESPACE, Render, one
from tests.support.exposition import alerts, dashboard, queries
from tests.support.promql import grouped_by, selectors

import splitjob_operator.runtime.metrics  # noqa: F401 - they are in the registry from here on
from splitjob_api.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = dict(
    re.findall(
        r"^### `(\w+)`\n(.*?)(?=^##|\Z)", (DOCS / "alerts.md").read_text(), re.MULTILINE | re.DOTALL
    )
)
DASHBOARD, ALERTS = "metrics.dashboard.enabled=true", "metrics.alerts.enabled=true"


def test_every_alert_has_its_entry_and_no_other_has_one() -> None:
    assert set(ENTRIES) == set(alerts())


@pytest.mark.parametrize("alert", alerts())
def test_an_entry_says_how_to_see_it_and_what_to_do(alert: str) -> None:
    for part in ("- **See**: ", "- **Do**: "):
        assert len(ENTRIES[alert].split(part)) == 2


@pytest.mark.parametrize("query", queries().values(), ids=queries())
def test_every_query_is_of_one_namespace(query: str) -> None:
    """Else two installations in one Prometheus would tell of each other."""
    of_one = re.findall(r'\{namespace="(?:\$namespace|NAMESPACE)"', query)
    assert len(of_one) == len(list(selectors(query))) > 0


def test_each_replica_of_the_api_tells_the_whole_queue_so_that_it_is_never_summed() -> None:
    for name, query in queries().items():
        for metric in ("queue_depth", "active_workers", "oldest_queued_seconds"):
            whole = re.findall(rf"(\w+)\(track_tree_audio_{metric}\b", query)
            assert set(whole) <= {"max"}, name


def test_the_rules_name_the_namespace_and_lead_to_their_entries(render: Render) -> None:
    url = "https://docs.example.com/alerts/"
    rule = one(render(ALERTS, f"metrics.alerts.runbookUrl={url}"), "PrometheusRule")
    rules = [found for group in rule["spec"]["groups"] for found in group["rules"]]
    assert [found["alert"] for found in rules] == list(alerts())
    for found in rules:
        assert found["annotations"]["runbook_url"] == f"{url}#{found['alert'].lower()}"
        assert f'namespace="{NAMESPACE}"' in found["expr"]
    assert not re.search("NAMESPACE|OLDEST_QUEUED_SECONDS", json.dumps(rule))


def test_the_dashboard_reaches_the_configmap_as_it_is(render: Render) -> None:
    data = one(render(DASHBOARD), "ConfigMap", "-dashboard")["data"]
    assert json.loads(data["track-tree-audio.json"]) == dashboard()


def test_panels_neither_overlap_nor_share_a_number() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(numbers) == len(set(numbers))


def families() -> dict[str, str]:
    """The names of the project's metrics and what kind each is."""
    texts = (generate_latest(REGISTRY), generate_latest(api_metrics().registry))
    lines = re.findall(r"^# TYPE (\w+) (\w+)$", b"\n".join(texts).decode(), re.MULTILINE)
    own = re.compile("(splitjob|track_tree_audio)_")
    # `_created` comes with each counter and histogram.
    return {n: k for n, k in lines if own.match(n) and not n.endswith("_created")}


def api_metrics() -> Metrics:
    class Nothing:
        followed, count = False, 0

    return Metrics(Nothing(), Nothing())  # type: ignore[arg-type]


def test_the_page_lists_every_metric_of_the_code() -> None:
    page = (DOCS / "observe.md").read_text()
    assert [name for name in families() if not re.search(rf"`{name}[`{{]", page)] == []


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Counters end in _total, times are in seconds, and say so."""
    for name, kind in families().items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search("_(ms|millis|milliseconds|minutes|hours)", name)
        if kind in {"histogram", "summary"}:
            assert name.endswith("_seconds"), name


def test_what_a_query_reads_is_found_without_an_engine() -> None:
    query = 'sum by (le, code) (rate(splitjob_x_bucket{namespace="a,b",code=~"c=d"}[5m])) > 1'
    (found,) = selectors(query)
    assert found.metric == "splitjob_x_bucket"
    assert found.labels == {"code"}
    assert grouped_by(query) == {"le", "code"}


def promtool(*arguments: str | Path) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH: it comes with Prometheus")
    ran = subprocess.run(
        [program, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


# What has each alert fire, as promtool writes series: by the minute, for eight hours.
MINUTES = 480
CALM = {
    "splitjob_leader": "1",
    "splitjob_resync_age_seconds": "20",
    'splitjob_unready{reason="CrdMissing"}': "0",
    'track_tree_audio_api_unready{reason="CrdMissing"}': "0",
    'splitjob_reconcile_seconds_count{outcome="done"}': "0+100",
    'splitjob_reconcile_seconds_count{outcome="error"}': "0+1",
    'splitjob_watch_failures_total{kind="Pod"}': "0",
    'splitjob_queue_depth{reason="Queued"}': "9",
    'splitjob_queue_depth{reason="InstallationPaused"}': "9",
    'splitjob_queue_depth{reason="PodRefused"}': "0",
    'splitjob_jobs{stage="running"}': "2",
    "track_tree_audio_oldest_queued_seconds": "60",
    'splitjob_gpu_seconds_total{use="used"}': "0+100",
    'splitjob_gpu_seconds_total{use="preempted"}': "0+10",
    'splitjob_webhook_attempts_total{outcome="delivered"}': "0+5",
    'splitjob_webhook_attempts_total{outcome="failed"}': "0+1",
    "splitjob_webhook_oldest_undelivered_seconds": "400",
    "splitjob_webhooks_given_up_total": "0",
    'track_tree_audio_api_requests_total{status="202"}': "0+100",
    'track_tree_audio_api_requests_total{status="503"}': "0",
    'track_tree_audio_api_request_seconds_count{route="/split"}': "0+100",
    'track_tree_audio_api_request_seconds_bucket{route="/split",le="1.0"}': "0+100",
    'splitjob_finished_total{code=""}': "0+10",
    'splitjob_finished_total{code="source_not_found"}': "0+10",
    'splitjob_finished_total{code="worker_image"}': "0",
    "splitjob_wait_seconds_count": "0+10",
    'splitjob_wait_seconds_bucket{le="600.0"}': "0+10",
    "splitjob_webhook_delay_seconds_count": "0+10",
    'splitjob_webhook_delay_seconds_bucket{le="60.0"}': "0+10",
}
FIRING = {
    "TrackTreeAudioNoLeader": {"splitjob_leader": "0"},
    "TrackTreeAudioResyncOld": {"splitjob_resync_age_seconds": "0+60"},
    "TrackTreeAudioNotReady": {'track_tree_audio_api_unready{reason="CrdMissing"}': "1"},
    "TrackTreeAudioReconcileErrors": {
        'splitjob_reconcile_seconds_count{outcome="error"}': "0+20",
    },
    "TrackTreeAudioWatchesFail": {'splitjob_watch_failures_total{kind="Pod"}': "0+2"},
    "TrackTreeAudioNothingRuns": {'splitjob_jobs{stage="running"}': "0"},
    "TrackTreeAudioQueueOld": {"track_tree_audio_oldest_queued_seconds": "0+60"},
    "TrackTreeAudioJobsRefused": {'splitjob_queue_depth{reason="PodRefused"}': "1"},
    "TrackTreeAudioGpuTimeLost": {'splitjob_gpu_seconds_total{use="preempted"}': "0+50"},
    "TrackTreeAudioNoWebhookDelivered": {
        'splitjob_webhook_attempts_total{outcome="delivered"}': "5",
    },
    "TrackTreeAudioWebhooksOld": {"splitjob_webhook_oldest_undelivered_seconds": "0+60"},
    "TrackTreeAudioWebhooksGivenUp": {"splitjob_webhooks_given_up_total": "0+1"},
    "TrackTreeAudioApiNotScraped": {'track_tree_audio_api_requests_total{status="202"}': "_"},
    "TrackTreeAudioApiErrors": {'track_tree_audio_api_requests_total{status="503"}': "0+1"},
    "TrackTreeAudioApiSlow": {
        'track_tree_audio_api_request_seconds_bucket{route="/split",le="1.0"}': "0+90",
    },
    "TrackTreeAudioJobsFail": {'splitjob_finished_total{code="worker_image"}': "0+2"},
    "TrackTreeAudioStartsSlow": {'splitjob_wait_seconds_bucket{le="600.0"}': "0+9"},
    "TrackTreeAudioWebhooksSlow": {'splitjob_webhook_delay_seconds_bucket{le="60.0"}': "0+9"},
}


def series_with(changed: dict[str, str], query: str, alerts_firing: int) -> dict[str, Any]:
    """Return one test of promtool: series, and how many alerts a query finds after eight hours."""
    return {
        "interval": "1m",
        "input_series": [
            {"series": in_namespace(name), "values": f"{values}x{MINUTES}"}
            for name, values in (CALM | changed).items()
            if values != "_" and not ("_" in changed.values() and "api_requests" in name)
        ],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": "{}", "value": alerts_firing}] if alerts_firing else [],
            }
        ],
    }


def in_namespace(series: str) -> str:
    name, _, labels = series.removesuffix("}").partition("{")
    of = [f'namespace="{NAMESPACE}"', *([labels] if labels else [])]
    return f"{name}{{{','.join(of)}}}"


@pytest.fixture
def rules(render: Render, tmp_path: Path) -> Path:
    """The rules as the chart renders them, as a file for promtool."""
    spec: dict[str, Any] = one(render(ALERTS), "PrometheusRule")["spec"]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def test_promtool_takes_the_rules(rules: Path) -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", rules)


def test_each_rule_fires_when_it_should_and_none_while_all_is_well(
    rules: Path, tmp_path: Path
) -> None:
    firing = 'ALERTS{alertstate="firing"}'
    cases = [series_with({}, f"count({firing})", 0)]
    for alert, changed in FIRING.items():
        cases.append(series_with(changed, f'count({firing[:-1]},alertname="{alert}"}})', 1))
    suite = {"evaluation_interval": "5m", "rule_files": [rules.name], "tests": cases}
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(suite))
    assert "SUCCESS" in promtool("test", "rules", file)


def test_every_rule_is_had_to_fire() -> None:
    assert set(FIRING) == set(alerts())

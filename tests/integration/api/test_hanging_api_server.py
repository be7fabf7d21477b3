"""A Kubernetes API server that takes connections and answers nothing, until it goes on."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import yaml
from tests.support import plain_http
from tests.support.api_harness import TOKEN, Api, body
from tests.support.app_server import served_app
from tests.support.freezing_proxy import FreezingProxy, freezing_proxy
from tests.support.waiting import eventually, patience

from splitjob_api import deps, job_cache, kubernetes
from splitjob_api.app import create_app
from splitjob_api.settings import Settings
from splitjob_kube.client import ClientPolicy
from splitjob_local.cluster.local_cluster import LocalCluster

# The times of the API, so much shorter that an outage need not last.
POLICY = ClientPolicy(connect_seconds=1, read_seconds=1, tries_again=True)
WATCH_SECONDS = 1
SILENT_SECONDS = 4.0


@contextmanager
def way_to(kube: LocalCluster, folder: Path) -> Iterator[tuple[FreezingProxy, Path]]:
    """Yield a way to the API server that can be frozen, and the KUBECONFIG that takes it."""
    config = yaml.safe_load(kube.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    assert server.hostname
    assert server.port
    with freezing_proxy(server.hostname, server.port) as proxy:
        cluster["server"] = f"https://127.0.0.1:{proxy.port}"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        yield proxy, kubeconfig


@contextmanager
def api_behind(kubeconfig: Path, namespace: str, log: Path) -> Iterator[Api]:
    settings = Settings(
        namespace=namespace,
        demucssvc_token=TOKEN,
        environment="prod",
        api_webhook_url_allowlist="https://hooks.example.com/demucs",
    )
    with (
        patch.dict("os.environ", {"KUBECONFIG": str(kubeconfig)}),
        patch.object(kubernetes, "POLICY", POLICY),
        patch.object(kubernetes, "WATCH_SECONDS", WATCH_SECONDS),
        patch.object(job_cache, "SILENT_SECONDS", SILENT_SECONDS),
        patch.object(deps, "CURRENT_TRIES", 5),
        served_app(create_app(settings)) as url,
    ):
        eventually(lambda: plain_http.get(f"{url}/readyz").status_code == 200)
        yield Api(url, None, log)  # type: ignore[arg-type] # it is no process


def refused(answer: httpx.Response) -> bool:
    """See that an answer says when to come again."""
    assert answer.json()["code"] in {"cluster_unavailable", "not_ready"}, answer.text
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def test_15_nothing_old_is_told_and_nothing_taken_while_the_api_server_hangs(
    kube: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    """Acceptance 15: and all is current again afterwards, each job once."""
    with (
        way_to(kube, tmp_path) as (proxy, kubeconfig),
        api_behind(kubeconfig, namespace, tmp_path / "log") as api,
        api.events("/events") as told,
    ):
        before = api.post(body("before")).json()["jobId"]
        assert next(told).data["jobId"] == before
        proxy.freeze()
        eventually(lambda: api.get("/jobs").status_code == 503)
        answers_while_it_hangs(api, before)
        proxy.thaw()
        taken = eventually(lambda: posted(api, "meanwhile"))
        assert eventually(lambda: {one["jobId"] for one in listed(api)} == {before, taken})
        assert next(told).data["jobId"] == taken, "the stream that was open goes on"
        assert api.get("/queue/status").json()["queue_depth"] == 2
    assert names(kube, "splitjobs", namespace) == {before, taken}


def answers_while_it_hangs(api: Api, job_id: str) -> None:
    """See what is answered meanwhile; all is asked at once, for each answer takes its time."""
    job = f"/jobs/{job_id}"
    asked = [("GET", path) for path in ("/jobs", "/events", "/queue/status", job, f"{job}/events")]
    asked += [("DELETE", job), ("DELETE", f"{job}/data"), ("POST", f"{job}/retry")]
    began = time.monotonic()
    with ThreadPoolExecutor() as callers:
        answers = [callers.submit(api.send, *one) for one in asked]
        answers.append(callers.submit(api.post, body("meanwhile")))
    assert all(refused(answer.result()) for answer in answers)
    assert time.monotonic() - began < patience(4 * sum(POLICY[:2])), "callers are told in time"
    assert plain_http.get(f"{api.url}/readyz").status_code == 503
    assert plain_http.get(f"{api.url}/healthz").status_code == 200
    assert api.get("/models").status_code == 200


def posted(api: Api, version_id: str) -> str:
    answer = api.post(body(version_id))
    assert answer.status_code in {200, 202, 503}, answer.text
    return str(answer.json().get("jobId", ""))


def listed(api: Api) -> list[dict[str, str]]:
    answer = api.get("/jobs")
    return answer.json()["jobs"] if answer.status_code == 200 else []


def names(kube: LocalCluster, kind: str, namespace: str) -> set[str]:
    return set(kube.objects.names(kind, namespace=namespace))

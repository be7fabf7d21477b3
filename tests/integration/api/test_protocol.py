"""What arrives before any request is understood: bytes, signatures, odd text."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import plain_http
from tests.support.api_harness import Api, body, started
from tests.support.examples import examples
from tests.support.waiting import patience

from splitjob_local.cluster.local_cluster import LocalCluster

odd_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "correlationId": odd_text,
            "idempotencyKey": odd_text,
            "metadata": st.dictionaries(odd_text, odd_text, max_size=3),
            "audioUrl": odd_text.map("https://audio.example.com/".__add__),
            "webhook": odd_text.map("https://hooks.example.com/demucs/".__add__),
            "seed": st.integers(min_value=0, max_value=2**53 - 1),
            "overlap": st.integers(0, 900).map(lambda permille: permille / 1000),
        },
    )
)
def test_what_the_api_takes_the_cluster_takes(replicas: tuple[Api, Api], fields: Any) -> None:
    """A body that passes our checks must not fail those of the resource: that would be a 503."""
    answer = replicas[0].post(body("odd", **fields))
    assert answer.status_code in {200, 202, 409, 422}, answer.text


def test_signatures_are_asked_for_everywhere_but_where_they_are_not(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/console", "/openapi.json"):
        assert plain_http.get(api.url + path).status_code == 200
    for path in ("/queue/status", "/models", "/jobs/split-a", "/nowhere", "/split"):
        assert plain_http.get(api.url + path).status_code == 401
    assert api.get("/queue/status").status_code == 200
    assert "htdemucs" in {model["name"] for model in api.get("/models").json()["models"]}
    assert api.get("/nowhere").status_code == 404
    assert api.get("/split").status_code == 405
    assert "track_tree_audio_queue_depth" in plain_http.get(f"{api.url}/metrics").text


def test_the_prefix_that_a_gateway_strips_is_put_before_location_and_links_and_not_signed(
    replicas: tuple[Api, Api],
) -> None:
    behind = replicas[1]
    answer = behind.post(body("behind-a-gateway"))
    job_id = answer.json()["jobId"]
    assert answer.headers["Location"] == f"/stems/jobs/{job_id}"
    assert behind.get(f"/jobs/{job_id}").status_code == 200
    assert plain_http.get(f"{behind.url}/openapi.json").json()["servers"] == [{"url": "/stems"}]


def test_it_listens_on_both_families(replicas: tuple[Api, Api]) -> None:
    url = replicas[1].url
    assert plain_http.get(f"{url}/healthz").is_success
    if socket.has_dualstack_ipv6():
        assert plain_http.get(f"{url.replace('127.0.0.1', '[::1]')}/healthz").is_success


def test_a_caller_who_asks_too_often_is_told_when_to_ask_again(
    kube: LocalCluster, tmp_path: Path
) -> None:
    """Acceptance 18a."""
    settings = {"RATE_LIMIT_PER_SECOND": "0.001", "RATE_LIMIT_BURST": "3"}
    with started(kube, tmp_path / "log", **settings) as api:
        answers = [api.get("/models") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 1000
        assert plain_http.get(f"{api.url}/readyz").status_code == 200


def test_an_id_that_comes_with_a_request_is_sent_back_and_logged(api: Api) -> None:
    answer = plain_http.get(f"{api.url}/models", headers={"X-Request-Id": "traced-1"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (401, "traced-1")
    odd = plain_http.get(f"{api.url}/models", headers={"X-Request-Id": "a b"})
    assert len(odd.headers["X-Request-Id"]) == 32
    [line] = [line for line in api.log.read_text().splitlines() if '"traced-1"' in line]
    assert json.loads(line)["path"] == "/models"


def raw(api: Api, data: bytes, wait: float = 5) -> bytes:
    """Send bytes as they are; return what comes back until the server closes or pauses."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        try:
            while block := connection.recv(65536):
                received += block
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
        return received


def test_10_a_chunked_body_is_cut_off_at_the_limit(api: Api) -> None:
    """Acceptance 10."""
    head = b"POST /split HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert raw(api, head + chunk * 5).startswith(b"HTTP/1.1 413")
    large = b"POST /split HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
    assert raw(api, large).startswith(b"HTTP/1.1 413")


def test_11_a_trickled_body(api: Api) -> None:
    """Acceptance 11."""
    head = b"POST /split HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    assert raw(api, head).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /docs?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /split HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /split HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /split HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"BREW /split HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET //%00%ff/../jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://elsewhere/split HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /jobs/\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /split HTTP/1.1\r\nHost: x\r\nX-Timestamp: \xff\r\nConnection: close\r\n\r\n",
        b"GET /split HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_odd_bytes_never_give_a_500(api: Api, data: bytes) -> None:
    answer = raw(api, data, wait=0.5)
    assert not answer or b"application/problem+json" in answer
    assert not answer or answer.split(b" ")[1] in {b"400", b"401", b"404", b"405", b"431"}, answer[
        :200
    ]
    assert plain_http.get(f"{api.url}/healthz").status_code == 200


def test_09_no_token_no_start(kube: LocalCluster) -> None:
    """Acceptance 9."""
    for token in ("", " ", "a,,b"):
        environment = {"KUBECONFIG": str(kube.kubeconfig), "DEMUCSSVC_TOKEN": token}
        ended = subprocess.run(
            [sys.executable, "-m", "splitjob_api"],
            env=environment,
            capture_output=True,
            timeout=patience(30),
            check=False,
        )
        assert ended.returncode == 2
        assert b"DEMUCSSVC_TOKEN" in ended.stderr

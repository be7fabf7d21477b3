"""What an installation may choose, with the real processes on a real cluster."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support import plain_http
from tests.support.api_harness import started
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster

FAMILIES = ["127.0.0.1", "[::1]"]
KEPT_SECONDS = 20


@pytest.fixture(scope="module")
def here(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(crd, tmp_path_factory.mktemp("operator")) as place:
        policy = json.dumps({"policyTypes": ["Ingress", "Egress"], "egress": []})
        place.start(
            HOST="::",
            KEEP_FINISHED_JOBS_SECONDS=str(KEPT_SECONDS),
            WORKER_NETWORK_POLICY=policy,
        )
        yield place


def answers(url: str) -> dict[str, int]:
    """Return what a server says to a probe at each address of this machine."""
    port = httpx.URL(url).port
    return {at: plain_http.get(f"http://{at}:{port}/healthz").status_code for at in FAMILIES}


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_api_and_operator_answer_probes_of_both_families(
    crd: LocalCluster, here: Site, tmp_path: Path
) -> None:
    assert answers(here.operators[0].url) == dict.fromkeys(FAMILIES, 200)
    with started(crd, tmp_path / "log", HOST="::", NAMESPACE=here.namespace) as api:
        assert answers(api.url) == dict.fromkeys(FAMILIES, 200)


def test_the_log_of_a_finished_job_can_be_read_for_a_while(here: Site) -> None:
    name = here.ask("progress 40; complete")
    here.ended(name)
    (job,) = here.jobs(name)
    (pod,) = here.pods(name)
    assert not job["metadata"].get("deletionTimestamp")
    assert "40" in here.kubectl("logs", pod["metadata"]["name"])
    (policy,) = here.network_policies(name)
    assert policy["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    eventually(lambda: not here.jobs(name) and not here.pods(name), KEPT_SECONDS + 20)
    eventually(lambda: not here.network_policies(name))


def test_a_retry_does_not_wait_until_the_former_job_is_gone(here: Site) -> None:
    name = here.ask("fail source_unavailable retry", script2="complete")
    status = here.ended(name)
    assert status["phase"] == "Completed"
    assert len(status["attempts"]) == 2
    assert len(here.jobs(name)) == 2, "both are kept"
    eventually(lambda: not here.jobs(name), KEPT_SECONDS + 20)

"""API and operator with nothing but what a kubelet gives a pod, against a real API server.

Acceptance 69: neither is started by KUBECONFIG here, and neither has a user with a name.
"""

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import yaml
from tests.support import plain_http
from tests.support.in_cluster import Account, Way, start, ways
from tests.support.operator_harness import TOKEN, Site, site
from tests.support.ports import free_port
from tests.support.waiting import eventually, patience

from splitjob.signing import Signer
from splitjob_kubelet.runtime.environment import service_variables
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.service import CHART, RELEASE

# A client reads its token again once a minute. The API server takes one for a minute after its end,
# for the sake of clocks that differ, and for ten seconds more if it has just seen it.
FIRST_TOKEN_SECONDS = patience(35)  # the programs have to be ready before
ACCEPTED_SECONDS = FIRST_TOKEN_SECONDS + 60 + 15
RBAC = ("serviceaccounts", "rbac-api", "rbac-operator")


@dataclass
class Programs:
    """API and operator of one namespace, with accounts and rights as the chart has them."""

    way: Way
    place: Site
    folder: Path
    url: str = ""
    accounts: list[Account] = field(default_factory=list)
    first_tokens: list[str] = field(default_factory=list)
    signed_at: float = 0.0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def launch(self) -> None:
        """Start both, wait until they are ready, and replace their tokens, as a kubelet does."""
        self._allow()
        self.url, operator = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._start("api", ["splitjob_api"], self.url)
        flags = ["--standalone", f"--namespace={self.place.namespace}"]
        words = ["kopf", "run", *flags, "-m", "splitjob_operator.runtime.kopf_app"]
        self._start("operator", words, operator)
        for url in (self.url, operator):
            eventually(lambda url=url: plain_http.get(f"{url}/readyz").status_code == 200)  # type: ignore[misc]
        for account in self.accounts:
            account.rotate(3600)

    def _allow(self) -> None:
        """Create service accounts, roles and bindings, those of the chart and no others."""
        cluster, namespace = self.place.cluster, self.place.namespace
        values = self.folder / "values.yaml"
        values.write_text(yaml.safe_dump(cluster.service.values()))
        files = [f"--values={file}" for file in (CHART / "values-local.yaml", values)]
        shown = [f"--show-only=templates/{name}.yaml" for name in RBAC]
        where = f"--namespace={namespace}"
        rendered = cluster.helm("template", RELEASE, str(CHART), where, *files, *shown)
        self.place.kubectl("apply", "-f", "-", text=rendered)

    def _start(self, component: str, words: list[str], url: str) -> None:
        cluster, namespace = self.place.cluster, self.place.namespace
        account = Account(
            cluster, namespace, f"{RELEASE}-{component}", self.folder / f"{component}-account"
        )
        self.first_tokens.append(account.create(FIRST_TOKEN_SECONDS))
        self.signed_at = time.time()
        self.accounts.append(account)
        environment = self.place._environment(int(url.rpartition(":")[2]))
        del environment["KUBECONFIG"], environment["PATH"]
        if component == "api":
            del environment["NAMESPACE"]  # it knows by the account's files
        environment |= service_variables(cluster.client().configuration.host)
        log = self.folder / f"{component}.log"
        self.processes.append(start(self.way, account, words, environment, log))

    def separate(self) -> str:
        """Send a song in; return the job's id."""
        body = {
            "versionId": f"in-cluster-{secrets.token_hex(4)}",
            "audioUrl": f"{self.place.receiver.base}song.wav",
            "aiModel": "demo",
            "webhook": f"{self.place.receiver.base}in-cluster",
            "metadata": {"script": "complete"},
        }
        content = json.dumps(body).encode()
        headers = Signer([TOKEN]).sign(content, int(time.time()))
        answer = plain_http.post(
            f"{self.url}/split", content=content, headers=headers, timeout=patience(20)
        )
        assert answer.status_code == 202, self.said()
        name: str = answer.json()["jobId"]
        return name

    def said(self) -> str:
        """The ends of both logs."""
        return "\n".join(file.read_text()[-4000:] for file in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(patience(30))


@pytest.fixture(scope="module", params=ways())
def programs(
    request: pytest.FixtureRequest, crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Programs]:
    folder = tmp_path_factory.mktemp("in-cluster")
    with site(crd, folder) as place:
        running = Programs(request.param, place, folder)
        try:
            running.launch()
            yield running
        except AssertionError as error:
            raise AssertionError(running.said()) from error
        finally:
            running.close()


def test_a_song_goes_from_the_api_to_the_operator_and_back(programs: Programs) -> None:
    """Each reaches the API server with its own token, the operator's kopf as well."""
    name = programs.separate()

    assert programs.place.ended(name)["phase"] == "Completed", programs.said()
    assert programs.place.told(name).body["status"] == "completed"
    log = (programs.folder / "operator.log").read_text()
    assert "re-authenticate" not in log  # what kopf says of every token that is refused
    assert "valid credentials" not in log


def test_a_token_that_is_replaced_while_they_run(programs: Programs) -> None:
    """The one that they started with has ended, and is refused: they must have read the new one."""
    if programs.way is not ways()[0]:
        pytest.skip("once is enough: how the files are seen makes no difference to their contents")
    left = programs.signed_at + ACCEPTED_SECONDS - time.time()
    time.sleep(max(left, 0))
    server = programs.place.cluster.client().configuration
    for token in programs.first_tokens:
        answer = httpx.get(
            f"{server.host}/api",
            headers={"Authorization": f"Bearer {token}"},
            verify=False,
            timeout=patience(10),
        )
        assert answer.status_code == 401

    # What is connected stays so: now both have to sign in anew.
    programs.place.cluster.kill("kube-apiserver")
    programs.place.cluster.start("kube-apiserver")

    eventually(lambda: plain_http.get(f"{programs.url}/readyz").status_code == 200)
    name = programs.separate()
    assert programs.place.ended(name, 60)["phase"] == "Completed", programs.said()
    assert all(process.poll() is None for process in programs.processes)

"""An operator whose token, or whose API server's certificate, is replaced while it runs goes on.

A token that is bound to a Secret ends with it: the API server refuses it from then on, as it
refuses one whose time is over, and nobody has to wait for that. The API server's certificate is
that of a proxy in front of it.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
import yaml
from tests.support.accounts import grant
from tests.support.operator_harness import Operator, Site, site
from tests.support.waiting import eventually, patience

from chaos.proxy import Proxy, Upstream
from splitjob_local.cluster.controlplane import HOSTS
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.pki import Authority
from splitjob_operator.adapters.kubernetes import rights_needed

ACCOUNT = "operator"
SECONDS = 600  # the API server gives out none that lives shorter


def bound_token(place: Site, secret: str) -> str:
    """Return a token that ends with a Secret, which is made."""
    place.kubectl("create", "secret", "generic", secret)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
    return place.kubectl("create", "token", ACCOUNT, *bound, f"--duration={SECONDS}s").strip()


def kubeconfig(place: Site, token_file: Path, cluster: dict[str, str] | None = None) -> Path:
    """Write a KUBECONFIG for the account, which names the token's file."""
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    if cluster:
        config["clusters"][0]["cluster"] = cluster
    config["users"] = [{"name": config["users"][0]["name"], "user": {"tokenFile": str(token_file)}}]
    path = place.folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def replace(file: Path, content: str) -> None:
    """Write a token, or certificates, in one piece, as a kubelet does."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(content)
    fresh.replace(file)


def is_refused(place: Site, token: str) -> bool:
    configuration = place.cluster.client().configuration
    answer = httpx.get(
        f"{configuration.host}/api",
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=configuration.ssl_ca_cert),
        timeout=patience(10),
    )
    return answer.status_code == 401


def finishes_a_job(place: Site, operator: Operator) -> bool:
    name = place.ask("complete")
    finished = place.ended(name)["phase"] == "Completed" and place.told(name) is not None
    return finished and operator.process.poll() is None


class Front:
    """The API server behind a proxy, whose certificate one authority after the other has signed."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster.client().configuration
        self._proxy = Proxy(Random(1))
        self.port = self._proxy.port

    def serve(self, authority: Authority) -> None:
        """End all connections, and serve with a certificate of an authority."""
        self.close()
        self._proxy = Proxy(Random(1), self.port)
        identity = authority.server("front", HOSTS)
        trusted = Path(self._cluster.ssl_ca_cert)
        self._proxy.start(Upstream(self._cluster.host, trusted, identity))

    def close(self) -> None:
        """Serve no more."""
        self._proxy.close()


@pytest.fixture
def place(crd: LocalCluster, tmp_path: Path) -> Iterator[Site]:
    with site(crd, tmp_path) as found:
        found.kubectl("create", "serviceaccount", ACCOUNT)
        needed = rights_needed(
            "track-tree-audio-totals", "track-tree-audio-operator", network_policies=False
        )
        grant(crd, found.namespace, ACCOUNT, needed)
        yield found


def test_a_token_that_ends_while_its_file_holds_another_one(place: Site) -> None:
    token_file = place.folder / "token"
    first = bound_token(place, "first")
    replace(token_file, first)
    operator = place.start(KUBECONFIG=str(kubeconfig(place, token_file)))
    assert finishes_a_job(place, operator)

    replace(token_file, bound_token(place, "second"))
    place.delete("secret", "first")
    eventually(lambda: is_refused(place, first))
    assert finishes_a_job(place, operator)

    # A watch that is open stays so: now kopf has to sign in anew as well.
    place.cluster.kill("kube-apiserver")
    place.cluster.start("kube-apiserver")
    eventually(operator.ready)
    assert is_refused(place, first)
    assert finishes_a_job(place, operator)


def test_a_token_that_ends_before_its_file_holds_another_one(place: Site) -> None:
    """Then nothing can be done, and the operator waits for the file instead of ending."""
    token_file = place.folder / "token"
    first = bound_token(place, "first")
    replace(token_file, first)
    operator = place.start(KUBECONFIG=str(kubeconfig(place, token_file)))

    place.delete("secret", "first")
    eventually(lambda: is_refused(place, first))
    place.cluster.kill("kube-apiserver")
    place.cluster.start("kube-apiserver")
    eventually(lambda: not operator.ready())

    replace(token_file, bound_token(place, "second"))
    eventually(operator.ready)
    assert finishes_a_job(place, operator)


def test_the_authority_of_the_api_servers_certificate_is_replaced(place: Site) -> None:
    """Both are trusted, then the certificate is the other's, then only the other is trusted."""
    former, latter = (Authority(place.folder / name) for name in ("former", "latter"))
    token_file, trusted = place.folder / "token", place.folder / "trusted.pem"
    replace(token_file, bound_token(place, "first"))
    replace(trusted, former.certificate.read_text())
    front = Front(place.cluster)
    front.serve(former)
    server = {"server": f"https://127.0.0.1:{front.port}", "certificate-authority": str(trusted)}
    operator = place.start(KUBECONFIG=str(kubeconfig(place, token_file, server)))
    assert finishes_a_job(place, operator)

    replace(trusted, former.certificate.read_text() + latter.certificate.read_text())
    front.serve(latter)
    assert finishes_a_job(place, operator)

    replace(trusted, latter.certificate.read_text())
    front.serve(latter)
    assert finishes_a_job(place, operator)
    eventually(operator.ready)
    front.close()

"""An operator whose token ends while it runs goes on with the one that its file holds by then.

A token that is bound to a Secret ends with it: the API server refuses it from then on, as it
refuses one whose time is over, and nobody has to wait for that.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from tests.support.accounts import grant
from tests.support.operator_harness import Operator, Site, site
from tests.support.waiting import eventually, patience

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_operator.adapters.kubernetes import rights_needed

ACCOUNT = "operator"
SECONDS = 600  # the API server gives out none that lives shorter


def bound_token(place: Site, secret: str) -> str:
    """Return a token that ends with a Secret, which is made."""
    place.kubectl("create", "secret", "generic", secret)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
    return place.kubectl("create", "token", ACCOUNT, *bound, f"--duration={SECONDS}s").strip()


def kubeconfig(place: Site, token_file: Path) -> Path:
    """Write a KUBECONFIG for the account, which names the token's file."""
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"tokenFile": str(token_file)}}]
    path = place.folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def replace(token_file: Path, token: str) -> None:
    """Write a token in one piece, as a kubelet does."""
    fresh = token_file.with_suffix(".fresh")
    fresh.write_text(token)
    fresh.replace(token_file)


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

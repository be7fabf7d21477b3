"""API and operator as a kubelet starts them: with a service account, and a user without a name.

`Account`  the files of a service account, and tokens that end when a test wants it
`Way`      how a program gets to see them at /var/run/secrets/kubernetes.io/serviceaccount
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.support.confined import PROGRAMS, can_confine, start_confined

from splitjob_kubelet.objects import SERVICE_ACCOUNT_MOUNT
from splitjob_kubelet.runtime.confinement import IMAGE_USER, Identity, Mount
from splitjob_local.cluster.controlplane import ISSUER
from splitjob_local.cluster.local_cluster import LocalCluster

# What a machine without mount namespaces can do: the constants that name the files are changed,
# and the user loses its name.
PATCHED = f"""
import pathlib, pwd, runpy, sys
from splitjob_kube import service_account

def nameless(uid):
    raise KeyError(f"getpwuid(): uid not found: {{uid}}")

pwd.getpwuid = nameless
folder = pathlib.Path(sys.argv[1])
assert str(service_account.FOLDER) == "{SERVICE_ACCOUNT_MOUNT}"
service_account.FOLDER = folder
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Way(StrEnum):
    """How a program gets to see the files of its account."""

    NAMESPACE = "mount-namespace"
    """At their real path, as the user of the images, with nothing else of this machine."""

    PATCHED = "patched-paths"
    """In a folder of the test, by other values of the constants that name them."""


def ways() -> list[Way]:
    """Those that this machine has."""
    return [Way.NAMESPACE, Way.PATCHED] if can_confine() else [Way.PATCHED]


@dataclass(frozen=True)
class Account:
    """A service account as a pod has it: a folder with token, ca.crt and namespace.

    Attributes:
        cluster: where it is.
        namespace: of it.
        name: of it.
        folder: with its files.
    """

    cluster: LocalCluster
    namespace: str
    name: str
    folder: Path

    def create(self, seconds: float) -> str:
        """Write all files; returns the token, which ends after so many seconds."""
        self.folder.mkdir()
        authority = self.cluster.objects.get(
            "configmap", "kube-root-ca.crt", namespace=self.namespace
        )
        self._write("ca.crt", authority["data"]["ca.crt"])
        self._write("namespace", self.namespace)
        return self.rotate(seconds)

    def rotate(self, seconds: float) -> str:
        """Replace the token, as a kubelet does."""
        token = service_account_token(self.cluster, self.namespace, self.name, seconds)
        self._write("token", token)
        return token

    def _write(self, name: str, text: str) -> None:
        fresh = self.folder / f".{name}"
        fresh.write_text(text)
        fresh.chmod(0o644)
        fresh.replace(self.folder / name)


def service_account_token(
    cluster: LocalCluster, namespace: str, name: str, seconds: float, audience: str = ISSUER
) -> str:
    """Sign a token with the cluster's own key: the API server gives none under ten minutes.

    Args:
        cluster: of the service account.
        namespace: of it.
        name: of it.
        seconds: until the token ends; negative: since it has ended.
        audience: whom it is for.
    """
    uid = cluster.objects.get("serviceaccount", name, namespace=namespace)["metadata"]["uid"]
    ends = int(time.time() + seconds)
    begins = min(int(time.time()), ends - 600)
    claims = {
        "iss": ISSUER,
        "aud": [audience],
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "iat": begins,
        "nbf": begins,
        "exp": ends,
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": uid},
        },
    }
    content = f"{_base64(_json({'alg': 'ES256', 'typ': 'JWT'}))}.{_base64(_json(claims))}"
    pem = (cluster.folder / "pki" / "service-accounts.key").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(content.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{content}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def start(
    way: Way, account: Account, words: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a Python module as in a pod; it ends with this process.

    Args:
        way: how it sees the files of the account.
        account: its service account.
        words: the module and its arguments.
        environment: all of it; no KUBECONFIG, no USER, no HOME.
        log: takes its output.
    """
    variables = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", **environment}
    with log.open("wb") as out:
        if way is Way.PATCHED:
            command = [sys.executable, "-c", PATCHED, str(account.folder), *words]
            return subprocess.Popen(command, env=variables, stdout=out, stderr=out)
        files = Mount(str(account.folder.resolve()), SERVICE_ACCOUNT_MOUNT, read_only=True)
        user = Identity(IMAGE_USER, IMAGE_USER)
        root = log.with_suffix(".root")
        return start_confined(words, environment, root, [files], user, out, out)

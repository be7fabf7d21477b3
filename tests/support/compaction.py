"""Has etcd forget the past of a cluster, as kube-apiserver has it do every five minutes.

etcd answers JSON over HTTP as well as gRPC: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

import base64
import ssl
from typing import Any

import httpx
from tests.support.waiting import patience

from splitjob_local.cluster.local_cluster import LocalCluster


def compact(cluster: LocalCluster) -> int:
    """Have etcd forget every revision but the latest; return which that is."""
    plane = cluster.control_plane
    identity = plane.authority.client("compaction")
    context = ssl.create_default_context(cafile=str(plane.authority.certificate))
    context.load_cert_chain(identity.certificate, identity.key)
    url = f"https://{plane.address}:{plane.etcd_port}/v3/kv"
    with httpx.Client(verify=context, timeout=patience(10)) as http:

        def ask(what: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = http.post(f"{url}/{what}", json=body).raise_for_status()
            said: dict[str, Any] = answer.json()
            return said

        any_key = base64.b64encode(b"x").decode()
        revision = ask("range", {"key": any_key})["header"]["revision"]
        ask("compaction", {"revision": revision, "physical": True})
    return int(revision)

"""The service on a cluster from which the way out leads through a proxy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.chart import CHART, LOCAL
from tests.support.connect_proxy import connect_proxy
from tests.support.waiting import timeout
from tests.support.web import answer, web_server

from bench.audio_files import tones, write_audio
from splitjob.resource import GROUP, PLURAL
from splitjob_client import Client
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.pki import Authority

HOST = "far.example.com"  # which the proxy alone can find
NAMESPACE = "behind-a-proxy"
WHERE = f"--namespace={NAMESPACE}"
RELEASE = "demo"
DEFINITION = f"customresourcedefinition/{PLURAL}.{GROUP}"


@pytest.fixture
def namespace(bare: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster with a namespace to install in, which goes with what was installed."""
    bare.cluster.create_namespace(NAMESPACE)
    yield bare
    bare.cluster.helm("uninstall", RELEASE, WHERE, "--wait", "--ignore-not-found")
    bare.kubectl("delete", DEFINITION, "--ignore-not-found")
    bare.kubectl("delete", "namespace", NAMESPACE, timeout(60))


def test_song_and_webhook_go_through_the_proxy_that_the_chart_names(
    namespace: LocalCluster, tmp_path: Path
) -> None:
    """Everything else, bucket and API server among it, is reached without."""
    authority = Authority(tmp_path / "authority")
    song = write_audio(tmp_path / "song.wav", tones(44100, 0.5, 2)).read_bytes()
    with (
        connect_proxy() as proxy,
        web_server(identity=authority.server("far", [HOST]), otherwise=answer(204)) as web,
    ):
        proxy.names[HOST] = "127.0.0.1"
        place = web.url.rpartition(":")[2]
        web.url = f"https://{HOST}:{place}"
        bundle = f"--from-file=ca.crt={authority.certificate}"
        namespace.kubectl("create", "configmap", "our-ca", bundle, WHERE)
        values = tmp_path / "values.yaml"
        own = namespace.service.values() | {
            "webhooks": {"allowlist": [f"{web.url}/hooks"]},
            "proxy": {"httpsProxy": proxy.url, "resolvesNames": True},
            "caBundle": {"configMap": "our-ca"},
        }
        own["api"]["replicas"] = own["operator"]["replicas"] = 1
        values.write_text(yaml.safe_dump(own))
        files = (f"--values={LOCAL}", f"--values={values}")
        namespace.cluster.helm(
            "install", RELEASE, str(CHART), WHERE, *files, "--wait", timeout(110)
        )
        (address,) = namespace.cluster.pod_urls(NAMESPACE, "api")
        with Client(address, namespace.service.token) as client:
            job = client.submit(
                version_id="one",
                audio_url=web.give("/song.wav", song),
                ai_model="demo",
                webhook=f"{web.url}/hooks/one",
            ).job_id
            done = f"splitjob/{job}"
            namespace.kubectl("wait", WHERE, done, "--for=condition=Notified", timeout(120))
        (body,) = [sent for path, _, sent in web.requests if path == "POST /hooks/one"]
        assert json.loads(body)["status"] == "completed"
        assert set(proxy.asked) == {f"{HOST}:{place}"}
        assert "GET /song.wav" in [path for path, *_ in web.requests]

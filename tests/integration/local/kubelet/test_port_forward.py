"""`kubectl port-forward` to pods of the process node."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.support import plain_http

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"x" * 3_000_000)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(str(len(body)).encode())
http.server.ThreadingHTTPServer((os.environ["IP"], 18080), Handler).serve_forever()
"""


@contextmanager
def forwarded(pods: Any, pod: str, port: int) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    kubectl = pods.cluster.cluster.programs["kubectl"]
    with subprocess.Popen(
        [kubectl, "port-forward", "-n", pods.namespace, pod, f":{port}"],
        env=pods.cluster.cluster.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()  # Forwarding from 127.0.0.1:40001 -> 18080
        yield "http://" + line.split()[2], process
        process.terminate()


def test_a_port_of_a_pod(pods: Any) -> None:
    pods.run(
        "web",
        "python",
        "-c",
        SERVER,
        env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        readinessProbe={"tcpSocket": {"port": 18080}, "periodSeconds": 1},
    )
    pods.wait_until_ready("web")

    with forwarded(pods, "web", 18080) as (url, _):
        for _ in range(3):
            assert len(plain_http.get(url).content) == 3_000_000
        assert plain_http.post(url, content=bytes(2_000_000)).text == "2000000"


def test_a_port_nobody_listens_on(pods: Any) -> None:
    pods.run("mute", "sleep", "60")
    pods.wait_until_ready("mute")

    with forwarded(pods, "mute", 9) as (url, process):
        with pytest.raises(httpx.TransportError):
            plain_http.get(url)
        assert process.stderr is not None
        assert "nothing answers at 127." in process.stderr.readline()

"""The demo's receiver of webhooks."""

import httpx
from tests.support.waiting import patience

from splitjob_local.demo.receiver import Receiver


def test_receiver_keeps_raw_bodies() -> None:
    with httpx.Client(trust_env=False) as http:
        probe = Receiver("http://127.0.0.1:0/hooks")
        port = probe._server.server_port
        with probe:
            http.post(f"http://127.0.0.1:{port}/hooks/1", content=b"{ }", headers={"X-A": "b"})
            assert probe.wait(1, patience(2))
    assert probe.deliveries[0].body == b"{ }"
    assert probe.deliveries[0].headers["x-a"] == "b"

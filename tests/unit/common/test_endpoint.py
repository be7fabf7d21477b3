"""What every request to the API server says."""

from splitjob_kube.blocking_http import BlockingPool
from splitjob_kube.connection import Connection
from splitjob_kube.endpoint import Endpoint
from splitjob_kube.http_connection import Server


def test_no_compressed_answer_is_taken() -> None:
    connection = Connection(
        server="http://127.0.0.1:8001",
        ca_path=None,
        verify=True,
        token=None,
        certificate_path=None,
        key_path=None,
    )
    endpoint = Endpoint(1, connection, BlockingPool(Server("127.0.0.1", 8001, None, None)))
    assert b"\r\nAccept-Encoding: identity\r\n" in endpoint.written("GET", "/api/v1/pods")

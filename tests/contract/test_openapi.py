"""The API and its OpenAPI document say the same, whatever is sent."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, assume, given, settings
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from tests.support import plain_http
from tests.support.examples import examples
from tests.support.ports import free_port
from tests.support.waiting import patience

from splitjob.request import SplitRequest
from splitjob.signing import Signer
from splitjob_api.app import create_app
from splitjob_api.openapi import DESCRIPTION, SPLIT_BODY
from splitjob_api.settings import Settings
from splitjob_local.cluster.local_cluster import LocalCluster

SIGNER = Signer(["a-token-for-these-tests"])
NAMESPACE = "test-openapi"
# Nobody asks it anything: URLs are signed with the keys alone.
BUCKET = {
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_BUCKET": "stems",
    "S3_ACCESS_KEY_ID": "a-key",
    "S3_SECRET_ACCESS_KEY": "a-secret",
}
# Every 4xx is a refusal: a body that fits no schema may also be too long to be looked at. And what
# fits a schema may still name a model, an address or a job that is not here.
EXPECTED = {
    "negative_data_rejection": {"expected-statuses": ["4xx"]},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]},
}


class Signature(AuthBase):
    """Signs what is sent, as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body: Any = request.body or f"{request.method} {request.path_url}"
        payload = body.encode() if isinstance(body, str) else body
        request.headers.update(SIGNER.sign(payload, int(time.time())))
        return request


@pytest.fixture(scope="module")
def url(crd: LocalCluster) -> Iterator[str]:
    """A running API, on the real cluster."""
    crd.cluster.create_namespace(NAMESPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(crd.kubeconfig))
        for name, value in BUCKET.items():
            patch.setenv(name, value)
        app = create_app(
            Settings(
                namespace=NAMESPACE,
                demucssvc_token="a-token-for-these-tests",
                body_timeout_seconds=2,
                uploads_enabled=True,
            )
        )
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, http="h11"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not (server.started and plain_http.get(f"http://127.0.0.1:{port}/readyz").is_success):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(patience(10))


@pytest.mark.storm
def test_every_answer_is_one_that_is_described(url: str) -> None:
    """No 500, no status, content type or shape that the document does not know."""
    document = plain_http.get(f"{url}/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    config = SchemathesisConfig.from_dict({"checks": EXPECTED})
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.auth.set_from_requests(Signature())
    described: list[Any] = list(schema.get_all_operations())
    assert len(described) >= 11
    for found in described:
        operation = found.ok()
        if "text/event-stream" not in str(operation.definition.raw):  # that has tests of its own
            _try(operation, url)


def _try(operation: Any, url: str) -> None:
    sent = operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(
        GenerationMode.NEGATIVE
    )

    @settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
    @given(sent)
    def run(case: Any) -> None:
        # A signature replaces what headers there are; that without one none is let in, the check
        # `ignored_auth` sees.
        assume(not case.meta.is_negative_at(ParameterLocation.HEADER))
        case.call_and_validate(base_url=url)

    run()


@pytest.mark.parametrize("name", list(SPLIT_BODY["content"]["application/json"]["examples"]))
def test_the_examples_run(url: str, name: str) -> None:
    example = SPLIT_BODY["content"]["application/json"]["examples"][name]["value"]
    SplitRequest.model_validate(example)
    answer = requests.post(f"{url}/split", json=example, auth=Signature(), timeout=patience(10))
    assert answer.status_code in {200, 202}, answer.text  # 200: another test sent it


def test_the_curl_of_every_call_runs(url: str) -> None:
    """Whatever it asks for may not be there; what it signs is right, and curl understands it."""
    document = plain_http.get(f"{url}/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "text/event-stream" in str(operation):
                continue  # it ends with the job, or not at all
            [sample] = operation["x-codeSamples"]
            answer = run_in_shell(sample["source"], url)
            assert answer.stderr == "", (path, answer.stderr)
            assert "signature_invalid" not in answer.stdout, path
            assert answer.stdout, path


def test_the_commands_of_the_description_run(url: str) -> None:
    [commands] = re.findall(r"```sh\n(.*?)```", DESCRIPTION, re.DOTALL)
    answer = run_in_shell(commands, url)
    assert '"jobId"' in answer.stdout
    assert '"models"' in answer.stdout


def run_in_shell(commands: str, url: str) -> "subprocess.CompletedProcess[str]":
    """Run commands of the document as a reader does, with a curl that draws no progress."""
    quiet = 'curl() { command curl --silent --show-error --max-time 10 "$@"; }\n'
    return subprocess.run(
        ["bash", "-c", quiet + commands],
        env={
            **os.environ,
            "API_URL": url,
            "DEMUCSSVC_TOKEN": "a-token-for-these-tests,an-older-one",
            "JOB": "split-a",
        },
        capture_output=True,
        text=True,
        check=True,
    )


def test_errors_are_described_by_their_codes(url: str) -> None:
    document = plain_http.get(f"{url}/openapi.json").json()
    answers = document["paths"]["/split"]["post"]["responses"]
    problem = answers["422"]["content"]["application/problem+json"]
    assert list(problem["examples"]) == ["request_invalid", "webhook_not_allowed"]
    assert "headers_too_large" in str(document["paths"]["/healthz"]["get"]["responses"]["431"])
    assert "HTTPValidationError" not in str(document)


def test_only_the_contracts_paths_are_open(url: str) -> None:
    document = plain_http.get(f"{url}/openapi.json").json()
    unsigned = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if not operation["security"]
    }
    assert unsigned == {"/healthz", "/readyz", "/metrics"}

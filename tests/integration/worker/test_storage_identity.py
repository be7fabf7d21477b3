"""Access to the bucket without keys of one's own, as boto3 in a worker's pod would find it.

The environment is what the operator (or, on EKS, the cluster's webhook) puts into the pod; the
services that hand out keys are played, the S3 server that checks them is real.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.httpsession import URLLib3Session
from tests.support.operator_samples import manifest_job

from splitjob.storage_settings import StorageSettings
from splitjob_io.storage import S3Service
from splitjob_local.cluster.s3server import S3Access

ROLE = "arn:aws:iam::123456789012:role/stems"
# The addresses of the agent of EKS Pod Identity, which the chart's storage.podIdentity opens.
AGENTS = ("http://169.254.170.23", "http://[fd00:ec2::23]")


@dataclass
class Issuer:
    """Hands out the S3 server's keys, as AWS' token service and as the agent of Pod Identity.

    Without a session token, which this S3 server would refuse.

    Attributes:
        asked: the forms and headers of the requests it got.
    """

    access: S3Access
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    def sts(self) -> bytes:
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"""<AssumeRoleWithWebIdentityResponse
 xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
 <AccessKeyId>{self.access.access_key_id}</AccessKeyId>
 <SecretAccessKey>{self.access.secret_access_key}</SecretAccessKey>
 <SessionToken></SessionToken><Expiration>{until}</Expiration></Credentials>
 <AssumedRoleUser><Arn>{ROLE}</Arn><AssumedRoleId>R:s</AssumedRoleId></AssumedRoleUser>
 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""".encode()

    def agent(self) -> bytes:
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps(
            {
                "AccessKeyId": self.access.access_key_id,
                "SecretAccessKey": self.access.secret_access_key,
                "Token": "",
                "Expiration": until,
            }
        ).encode()


@pytest.fixture
def issuer(s3: S3Access) -> Iterator[Issuer]:
    found = Issuer(s3)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.asked.append({name: values[0] for name, values in parse_qs(body).items()})
            self._answer(found.sts(), "text/xml")

        def do_GET(self) -> None:
            found.asked.append({"path": self.path, **dict(self.headers)})
            self._answer(found.agent(), "application/json")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A pod's environment: none of this machine's own keys, profiles or regions."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def without_keys(access: S3Access, region: str = "") -> S3Service:
    """The storage as a worker sees it that has no S3_ACCESS_KEY_ID."""
    return S3Service(
        StorageSettings(
            environment="prod",
            s3_endpoint=access.endpoint,
            s3_region=region or access.region,
            s3_bucket=access.bucket,
        )
    )


def environment_of_the_pod(settings: dict[str, Any], token: Path) -> dict[str, str]:
    """The variables of a role in the pod that the operator makes, its token where it can lie here.

    The path in the container is checked against the volume that is mounted there.
    """
    (container,) = manifest_job(settings)["spec"]["template"]["spec"]["containers"]
    found = {e["name"]: e["value"] for e in container["env"] if e["name"].startswith("AWS_")}
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "aws-token")
    assert found["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    return found | {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}


def test_without_any_there_is_no_access(s3: S3Access, bare: pytest.MonkeyPatch) -> None:
    assert not without_keys(s3).test_connection()


def test_a_projected_token_is_traded_for_keys(
    s3: S3Access, issuer: Issuer, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GKE, AKS and others: `storage.webIdentity.roleArn`."""
    token = tmp_path / "token"
    token.write_text("a.projected.token")
    for name, value in environment_of_the_pod({"worker_aws_role_arn": ROLE}, token).items():
        bare.setenv(name, value)
    bare.setenv("AWS_ENDPOINT_URL_STS", issuer.url)
    storage = without_keys(s3)
    assert storage.client._request_signer._credentials.method == "assume-role-with-web-identity"
    assert storage.test_connection()
    (asked,) = issuer.asked
    assert asked["Action"] == "AssumeRoleWithWebIdentity"
    assert (asked["RoleArn"], asked["WebIdentityToken"]) == (ROLE, "a.projected.token")


def test_the_role_is_asked_for_in_the_region_of_the_bucket(
    s3: S3Access, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """boto3 takes the S3 client's region for it, so that no AWS_REGION is needed."""
    token = tmp_path / "token"
    token.write_text("a.projected.token")
    for name, value in environment_of_the_pod({"worker_aws_role_arn": ROLE}, token).items():
        bare.setenv(name, value)
    asked = []

    def refuse(_: URLLib3Session, request: Any) -> None:
        asked.append(urlsplit(request.url).hostname)
        raise ConnectionError("no AWS here")

    bare.setattr(URLLib3Session, "send", refuse)
    with pytest.raises(ConnectionError):
        without_keys(s3, "eu-central-1").test_connection()
    assert asked[0] == "sts.eu-central-1.amazonaws.com"


def test_as_the_webhook_of_irsa_sets_it(
    s3: S3Access, issuer: Issuer, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("an.irsa.token")
    for name, value in {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": issuer.url,
    }.items():
        bare.setenv(name, value)
    assert without_keys(s3).test_connection()
    assert issuer.asked[0]["WebIdentityToken"] == "an.irsa.token"


@pytest.mark.parametrize("agent", AGENTS, ids=["IPv4", "IPv6"])
def test_the_agent_of_eks_pod_identity(
    s3: S3Access, issuer: Issuer, bare: pytest.MonkeyPatch, tmp_path: Path, agent: str
) -> None:
    """boto3 itself accepts the agent's addresses; only the way to them is bent to our agent."""
    token = tmp_path / "eks-pod-identity-token"
    token.write_text("a.pod.token")
    bare.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent}/v1/credentials")
    bare.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    real = URLLib3Session.send

    def bent(session: URLLib3Session, request: Any) -> Any:
        if request.url.startswith(agent):
            request.url = issuer.url + request.url.removeprefix(agent)
        return real(session, request)

    bare.setattr(URLLib3Session, "send", bent)
    storage = without_keys(s3)
    assert storage.client._request_signer._credentials.method == "container-role"
    assert storage.test_connection()
    assert issuer.asked[0]["path"] == "/v1/credentials"
    assert issuer.asked[0]["Authorization"] == "a.pod.token"


def test_r2_is_keys_an_endpoint_and_the_region_auto(bare: pytest.MonkeyPatch) -> None:
    settings = StorageSettings(
        environment="prod",
        s3_endpoint="https://account.r2.cloudflarestorage.com",
        s3_region="auto",
        s3_bucket="stems",
        s3_access_key_id="id",
        s3_secret_access_key="key",
    )
    url = urlsplit(S3Service(settings).generate_presigned_get_url("a/b", 60))
    assert (url.hostname, url.path) == ("account.r2.cloudflarestorage.com", "/stems/a/b")
    assert "/auto/s3/aws4_request" in parse_qs(url.query)["X-Amz-Credential"][0]

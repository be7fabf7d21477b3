"""A server whose certificate comes from an authority of its own: everybody who calls it says so."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.downloading import refused
from tests.support.web import Web, answer, web_server

from splitjob.addresses import parse_networks
from splitjob.allowlist import Allowlist
from splitjob.egress import Egress
from splitjob.errors import ErrorCode, Failure
from splitjob.storage_settings import StorageSettings
from splitjob.webhook import DeliveryOutcome
from splitjob_io import storage_cli
from splitjob_io.certificates import _described, certificate_problem
from splitjob_io.storage import Patience, S3Service, StorageError
from splitjob_io.webhook_sender import WebhookSender
from splitjob_local.cluster.pki import Authority
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.source.fetch import DownloadLimits
from splitjob_worker.upload import targets as upload
from splitjob_worker.upload.targets import PresignedPut, PresignedUrls

HERE = Egress(parse_networks("127.0.0.0/8"))
SECRET = "?X-Amz-Signature=do-not-tell"
UNKNOWN = (
    "the certificate of 127.0.0.1 is not trusted (unable to get local issuer certificate): "
    "add its authority with caBundle"
)
SHOWN = "; it is for web, issued by track-tree-audio local cluster, until "
INVALID = "the certificate of 127.0.0.1 is not valid ("


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def web(authority: Authority) -> Iterator[Web]:
    """A server with a certificate for its address."""
    with web_server(identity=authority.server("web", ["127.0.0.1"])) as server:
        server.serve("/any", answer(200))
        yield server


@pytest.fixture
def wrongly_named(authority: Authority) -> Iterator[Web]:
    """A server with a certificate for another name."""
    with web_server(identity=authority.server("web", ["elsewhere.example"])) as server:
        yield server


def send(web: Web) -> DeliveryOutcome:
    allowlist = Allowlist.parse(web.url, local=True)
    return WebhookSender(["token"], allowlist, HERE).send(f"{web.url}/any{SECRET}", "event", b"{}")


def storage(web: Web) -> S3Service:
    return S3Service(
        StorageSettings(
            environment="prod",
            s3_endpoint=web.url,
            s3_bucket="stems",
            s3_access_key_id="a-key",
            s3_secret_access_key="do-not-tell",
        )
    )


def test_a_webhook_to_an_unknown_authority_is_not_sent(web: Web) -> None:
    outcome = send(web)
    assert (outcome.delivered, outcome.blocked, outcome.status) == (False, False, None)
    assert outcome.error.startswith(f"the receiver could not be reached: {UNKNOWN}{SHOWN}")


def test_a_source_of_an_unknown_authority_is_not_fetched(web: Web, tmp_path: Path) -> None:
    failure = refused(f"{web.url}/any{SECRET}", tmp_path / "x", DownloadLimits(1 << 20, attempts=1))
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE
    assert failure.message.startswith(f"the source cannot be reached: {UNKNOWN}{SHOWN}")


def test_an_upload_to_an_unknown_authority_fails_with_the_cause(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "ATTEMPTS", 1)
    stem = tmp_path / "vocals.wav"
    stem.write_bytes(b"audio")
    put = PresignedPut(f"{web.url}/any{SECRET}")
    with pytest.raises(Failure) as caught:
        PresignedUrls({"vocals": put}, HERE, CancelToken()).upload_file(stem, "audio/wav")
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.UPLOAD_FAILED, True)
    assert f"failed: {UNKNOWN}{SHOWN}" in caught.value.message


def test_a_bucket_of_an_unknown_authority_is_not_read(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitjob_io.storage.bucket.PATIENT", Patience(1, 60))
    with pytest.raises(StorageError) as caught:
        storage(web).get_object("a/b.json")
    assert str(caught.value) == f"cannot read s3://stems/a/b.json: {UNKNOWN}"
    assert (caught.value.code, caught.value.retryable) == ("SSLError", True)


def test_the_storage_command_explains_an_unknown_authority(web: Web) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get(f"{web.url}/any{SECRET}")
    said = storage_cli.explain(caught.value)
    assert said == f"the signed URL was not answered: {UNKNOWN}"


def test_the_storage_command_says_which_certificate_the_bucket_has(
    web: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("splitjob_io.storage.bucket.PATIENT", Patience(1, 60))
    for name in ("S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "do-not-tell")
    monkeypatch.setenv("S3_ENDPOINT", web.url)
    assert storage_cli.main(["test"]) == 1
    out = capsys.readouterr().out
    assert f"{UNKNOWN}{SHOWN}" in out
    assert "needs" not in out.replace("needed", "")


def test_a_certificate_for_another_name_is_refused_whatever_the_bundle(
    wrongly_named: Web, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No authority would help: caBundle is not named."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    monkeypatch.setattr("splitjob_io.storage.bucket.PATIENT", Patience(1, 60))
    with pytest.raises(StorageError) as caught:
        storage(wrongly_named).get_object("a/b.json")
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    monkeypatch.setattr("splitjob_io.safe_http._default_ssl_context", lambda: trusting)
    assert SHOWN in send(wrongly_named).error
    for said in (str(caught.value), send(wrongly_named).error):
        assert INVALID in said
        assert "caBundle" not in said


def test_the_bundle_named_by_the_chart_is_what_helps(
    web: Web, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are those that httpx and boto3 read."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    monkeypatch.setattr("splitjob_io.safe_http._default_ssl_context", httpx.create_ssl_context)
    assert send(web).delivered
    with pytest.raises(StorageError, match="answered 404"):
        storage(web).get_object("a/b.json")


def test_what_a_stranger_writes_into_a_certificate_is_shown_with_care() -> None:
    hostile = ((("commonName", "a\nb<script>" + "x" * 200),),)
    refused = ssl.SSLCertVerificationError(1, "no")
    refused.verify_code, refused.verify_message = 10, "certificate has expired"
    refused.add_note(_described({"subject": hostile, "issuer": (), "notAfter": "May 1 2020 GMT"}))
    said = certificate_problem(refused, "far.example.com")
    assert said.startswith(
        "the certificate of far.example.com is not valid (certificate has expired); it is for "
        "a?b?script?xxx"
    )
    assert said.endswith("x, issued by nobody named, until May 1 2020 GMT")
    assert len(said) < 250

"""The storage settings and errors; the rest is tried on a real S3 server."""

from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from splitjob.storage_settings import BucketDemands, StorageSettings
from splitjob_io.bucket_advice import missing_settings, spelled
from splitjob_io.storage import S3Service, StorageError

NAMES = (
    "ENVIRONMENT",
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_BUCKET",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    *(name.upper() for name in BucketDemands.model_fields),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of the settings."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_seeds_local_environment_is_localstack(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ENVIRONMENT", "local")
    environment.setenv("S3_BUCKET", "test-bucket")
    settings = StorageSettings()
    assert settings.s3_endpoint == "http://localhost:4566"
    assert settings.s3_region == "us-east-1"
    assert settings.s3_access_key_id == "test"


def test_blank_keys_mean_the_standard_chain(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ENVIRONMENT", "prod")
    for name in ("S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        environment.setenv(name, "")
    settings = StorageSettings()
    assert (settings.s3_endpoint, settings.s3_access_key_id) == ("", "")
    environment.setenv("AWS_ACCESS_KEY_ID", "from-the-chain")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "x")
    url = S3Service(settings, "bucket").generate_presigned_get_url("key")
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].startswith("from-the-chain/")


def test_half_a_key_is_a_mistake(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("S3_ACCESS_KEY_ID", "only-this")
    with pytest.raises(ValidationError, match="or neither"):
        StorageSettings()


def test_no_bucket_is_said_at_once() -> None:
    with pytest.raises(StorageError, match="set S3_BUCKET"):
        S3Service(StorageSettings())


def test_urls_of_custom_endpoints_are_signed_with_version_4(
    environment: pytest.MonkeyPatch,
) -> None:
    """botocore's own choice for a custom endpoint in us-east-1 is version 2."""
    environment.setenv("S3_ENDPOINT", "https://account.r2.cloudflarestorage.com")
    environment.setenv("S3_ACCESS_KEY_ID", "id")
    environment.setenv("S3_SECRET_ACCESS_KEY", "very-secret")
    service = S3Service(StorageSettings(), "stems")
    for url in (
        service.generate_presigned_get_url("a/b", 60),
        service.generate_presigned_put_url("a/b", 60),
    ):
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["60"]
        assert urlsplit(url).path == "/stems/a/b"
        assert not any("checksum" in name.lower() for name in query)
        assert "very-secret" not in url
    assert "very-secret" not in repr(service.settings)


@pytest.mark.parametrize(
    ("status", "retryable"), [(0, True), (403, False), (404, False), (429, True), (503, True)]
)
def test_which_errors_may_pass(status: int, retryable: bool) -> None:
    assert StorageError("x", "Code", status).retryable is retryable


@pytest.mark.parametrize(
    ("endpoint", "style", "place"),
    [
        ("https://s3.example.com", "auto", "https://s3.example.com/stems/a"),
        ("https://s3.example.com", "path", "https://s3.example.com/stems/a"),
        ("https://s3.example.com", "virtual", "https://stems.s3.example.com/a"),
        ("", "auto", "https://stems.s3.amazonaws.com/a"),
        ("", "path", "https://s3.amazonaws.com/stems/a"),
    ],
)
def test_the_buckets_name_is_in_the_path_or_in_the_host(
    environment: pytest.MonkeyPatch, endpoint: str, style: str, place: str
) -> None:
    environment.setenv("ENVIRONMENT", "prod")
    environment.setenv("S3_ENDPOINT", endpoint)
    environment.setenv("S3_ADDRESSING_STYLE", style)
    environment.setenv("S3_ACCESS_KEY_ID", "id")
    environment.setenv("S3_SECRET_ACCESS_KEY", "secret")
    url = S3Service(StorageSettings(), "stems").generate_presigned_get_url("a")
    assert url.partition("?")[0] == place


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"S3_SSE_KMS_KEY_ID": "alias/stems"}, "with S3_SSE aws:kms alone"),
        ({"S3_SSE_KMS_KEY_ID": "alias/stems", "S3_SSE": "AES256"}, "set both"),
        ({"S3_STORAGE_CLASS": "GLACIER"}, "read at once"),
        ({"S3_CHECKSUM": "crc64"}, "'md5', 'crc32'"),
        ({"S3_ADDRESSING_STYLE": "host"}, "'path' or 'virtual'"),
    ],
)
def test_a_demand_that_cannot_be_met_is_refused(
    environment: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(ValidationError, match=said):
        StorageSettings()


def test_a_bucket_that_is_reached_by_its_host_alone_is_advised_so() -> None:
    """What was chosen is left alone: only settings at their defaults are tried."""
    storage = S3Service(StorageSettings(s3_checksum="crc32"), "stems")
    tried: list[StorageSettings] = []

    def attempt(other: S3Service) -> None:
        tried.append(other.settings)
        if other.settings.s3_addressing_style != "virtual" or not other.settings.s3_sse:
            raise StorageError("no", "AccessDenied", 403)

    assert missing_settings(storage, attempt) is None
    assert {one.s3_checksum for one in tried} == {"crc32"}
    assert "virtual" in {one.s3_addressing_style for one in tried}
    found = missing_settings(S3Service(StorageSettings(s3_sse="AES256"), "stems"), attempt)
    assert found
    assert spelled(found) == ("S3_ADDRESSING_STYLE=virtual (chart value storage.addressingStyle)")

"""Where stems are played from, against the URLs that boto3 signs."""

from urllib.parse import urlsplit

import pytest

from splitjob.storage_settings import StorageSettings
from splitjob_api.storage_origins import storage_origins
from splitjob_io.storage import S3Service


@pytest.mark.parametrize(
    ("endpoint", "region", "bucket"),
    [
        ("", "us-east-1", "stems"),
        ("", "eu-central-1", "stems"),
        ("", "eu-central-1", "stems.example.com"),
        ("", "us-east-1", "stems.example.com"),
        ("", "cn-north-1", "stems"),
        ("https://minio.example.com:9000", "auto", "stems"),
        ("https://abc.r2.cloudflarestorage.com/", "auto", "stems"),
    ],
)
def test_presigned_urls_are_of_an_origin_that_players_may_load_from(
    endpoint: str, region: str, bucket: str
) -> None:
    settings = StorageSettings(
        environment="prod",
        s3_endpoint=endpoint,
        s3_region=region,
        s3_bucket=bucket,
        s3_access_key_id="a-key",
        s3_secret_access_key="a-secret",
    )
    signed = urlsplit(S3Service(settings).generate_presigned_get_url("song/vocals.wav"))
    assert f"{signed.scheme}://{signed.netloc}" in storage_origins(endpoint, region, bucket)


def test_without_a_bucket_nothing_is_played() -> None:
    assert storage_origins("https://minio.example.com", "auto", "") == []

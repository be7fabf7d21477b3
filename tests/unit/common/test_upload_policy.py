"""Presigned PUTs of many makers: what can be seen of a URL before a file is made for it."""

from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from splitjob.upload_policy import decode_headers, encode_headers, upload_problems

V4 = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2Fx&X-Amz-Signature=hush"
V2 = "AWSAccessKeyId=AK&Signature=hush&Expires=1800000000"
SAS = "sv=2024-11-04&se=2030-01-01T00%3A00%3A00Z&sr=b&sig=hush"
GOOG = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=hush"
MD5_OF_NOTHING = "1B2M2Y8AsgTpgAmY7PhCfg=="


def found(query: str, **headers: str) -> list[str]:
    """Return what is said of a URL; the headers' names are given with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judged(query, named)


def judged(query: str, headers: dict[str, str]) -> list[str]:
    url = f"https://stems.example.com/vocals.wav?{query}"
    messages = [problem.message for problem in upload_problems(url, headers)]
    assert "hush" not in "".join(messages)
    return messages


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        (f"{V4}&X-Amz-SignedHeaders=host", {}),
        (f"{V4}&X-Amz-SignedHeaders=host&x-id=PutObject", {}),
        (f"{V4}&X-Amz-SignedHeaders=host&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", {}),
        (f"{V4}&X-Amz-SignedHeaders=host&x-amz-storage-class=STANDARD_IA", {}),
        (f"{V4}&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t", {}),
        (f"{V4}&X-Amz-SignedHeaders=content-type%3Bhost", {"Content-Type": "audio/wav"}),
        (f"{V4}&X-Amz-SignedHeaders=content-type;host", {"content-type": "audio/wav"}),
        (
            f"{V4}&X-Amz-SignedHeaders=host%3Bx-amz-content-sha256",
            {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        ),
        (
            f"{V4}&X-Amz-SignedHeaders=host%3Bx-amz-server-side-encryption-customer-key-md5",
            {"x-amz-server-side-encryption-customer-key-MD5": MD5_OF_NOTHING},
        ),
        (f"{V4}&X-Amz-SignedHeaders=host", {"x-amz-meta-content-md5": "of the song"}),
        (V2, {}),
        (V2, {"Content-Type": "audio/wav", "x-amz-acl": "private"}),
        (f"{V2}&x-amz-security-token=t", {}),
        (f"{V2}&content-type=audio%2Fwav", {"Content-Type": "audio/wav"}),
        (
            f"{GOOG}&X-Goog-SignedHeaders=host%3Bx-goog-content-length-range",
            {"x-goog-content-length-range": "0,99999999"},
        ),
        (
            f"{GOOG}&X-Goog-SignedHeaders=host%3Bx-goog-encryption-key-sha256",
            {"x-goog-encryption-key-sha256": "a hash of the key, not of the file"},
        ),
        (SAS + "&sp=cw", {"x-ms-blob-type": "BlockBlob"}),
        ("sv=2024-11-04&ss=b&srt=o&sp=rw&sig=hush", {"X-Ms-Blob-Type": "BlockBlob"}),
        ("sig=hush", {}),
        ("digest=hush&token=1", {}),
    ],
)
def test_what_can_go_through_is_taken(query: str, headers: dict[str, str]) -> None:
    assert judged(query, headers) == []


@pytest.mark.parametrize(
    ("query", "headers", "missing"),
    [
        (f"{V4}&X-Amz-SignedHeaders=content-type%3Bhost", {}, "the header content-type"),
        (
            f"{V4}&X-Amz-SignedHeaders=host%3Bx-amz-server-side-encryption",
            {"content-type": "audio/wav"},
            "the header x-amz-server-side-encryption",
        ),
        (
            f"{V4}&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-acl&x-amz-acl=private",
            {},
            "the headers content-type, x-amz-acl",
        ),
        (f"{V4}&X-Amz-SignedHeaders=Host%3BUser-Agent", {}, "the header user-agent"),
        (
            f"{V4}&X-Amz-SignedHeaders=host%3Bx-amz-content-sha256",
            {},
            "the header x-amz-content-sha256",
        ),
        (f"{GOOG}&X-Goog-SignedHeaders=content-type%3Bhost", {}, "the header content-type"),
        (f"{V2}&content-type=audio%2Fwav", {}, "the header content-type"),
        (f"{V2}&x-amz-acl=public-read", {}, "the header x-amz-acl"),
        (
            "q-sign-algorithm=sha1&q-header-list=content-type%3Bhost&q-signature=hush",
            {},
            "the header content-type",
        ),
        (
            "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-additional-headers=content-disposition",
            {},
            "the header content-disposition",
        ),
        ("X-Tos-SignedHeaders=host%3Bx-tos-acl&X-Tos-Signature=hush", {}, "the header x-tos-acl"),
    ],
)
def test_a_signed_header_that_is_not_given_is_named(
    query: str, headers: dict[str, str], missing: str
) -> None:
    [message] = judged(query, headers)
    assert message.startswith(f"its URL signs {missing}:")
    assert '{"url", "headers"}' in message


def test_another_value_than_the_one_in_the_url_is_said_to_be_so() -> None:
    [message] = found(f"{V2}&content-type=audio%2Fwav", Content_Type="audio/flac")
    assert message == ("its URL signs another value than the one given of the header content-type")


@pytest.mark.parametrize(
    "name",
    [
        "content-length",
        "content-md5",
        "x-amz-checksum-crc32",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-goog-hash",
        "x-cos-content-sha1",
        "content-digest",
    ],
)
def test_a_length_or_a_checksum_among_the_signed_headers_is_refused(name: str) -> None:
    """Nobody has the file yet; giving the header would not help, so that is not advised."""
    [message] = found(f"{V4}&X-Amz-SignedHeaders=host%3B{name}")
    assert message.startswith(f"its URL signs the header {name}, and the file is not made yet")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-checksum-crc32", "AAAAAA%3D%3D"),
        ("X-Amz-Checksum-Sha256", "bad"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        (
            "X-Amz-Content-Sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("X-Goog-Content-SHA256", "abc"),
    ],
)
def test_a_checksum_in_the_query_is_refused(name: str, value: str) -> None:
    """As of SDKs that put the checksum of an empty body into the URL."""
    [message] = found(f"{V4}&X-Amz-SignedHeaders=host&{name}={value}")
    assert message.startswith(f"its URL asks for the header {name.lower()}, a checksum")


def test_a_checksum_that_a_version_2_url_repeats_is_refused() -> None:
    [message] = found(f"{V2}&content-md5=1B2M2Y8AsgTpgAmY7PhCfg%3D%3D")
    assert "content-md5, and the file is not made yet" in message


def test_an_azure_sas_needs_the_type_of_the_blob() -> None:
    [message] = found(SAS)
    assert '"x-ms-blob-type": "BlockBlob"' in message
    [message] = found(SAS, x_ms_blob_type="AppendBlob")
    assert "must be BlockBlob" in message


def test_an_azure_sas_that_only_reads_is_refused() -> None:
    [message] = found(SAS + "&sp=rl", x_ms_blob_type="BlockBlob")
    assert "without the right to write" in message


def test_a_url_for_a_download_is_refused() -> None:
    [message] = found(f"{V4}&X-Amz-SignedHeaders=host&x-id=GetObject")
    assert message == "its URL is presigned for something else than a PUT"


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "Connection", "Transfer-Encoding", "TE", "Upgrade", "Expect",
     "Keep-Alive", "Trailer", "Proxy-Authorization", "Proxy-Connection", "Content-Range"],
)  # fmt: skip
def test_headers_of_the_connection_are_not_the_callers(name: str) -> None:
    [message] = judged("", {name: "1"})
    assert message == f"the header {name.lower()} is the sender's own: leave it out"


def test_keys_of_the_caller_are_not_sent() -> None:
    [message] = found("", Authorization="Bearer hush")
    assert message.startswith("the header authorization is not sent")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-MD5", MD5_OF_NOTHING),
        ("x-amz-checksum-sha256", "abc"),
        ("x-amz-content-sha256", "abc"),
        ("x-ms-blob-content-md5", "abc"),
        ("Content-Encoding", "aws-chunked"),
    ],
)
def test_headers_of_the_content_are_nobodys_yet(name: str, value: str) -> None:
    [message] = judged("", {name: value})
    assert message.startswith(f"the header {name.lower()} is of the file's content")


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nHost: b", "a\x00", "ä", "a\tb"])
def test_values_that_http_would_change_are_refused(value: str) -> None:
    [message] = judged("", {"x-amz-meta-a": value})
    assert message.startswith("the value of the header x-amz-meta-a cannot be sent")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä"])
def test_names_that_are_none_are_refused_and_not_repeated(name: str) -> None:
    assert judged("", {name: "1"}) == ["a header has a name that HTTP does not allow"]
    [message] = judged("X-Amz-SignedHeaders=x%20y", {})
    assert "a header that cannot be sent" in message


def test_there_is_room_for_eight_headers_and_a_kilobyte() -> None:
    eight = {f"x-amz-meta-{number}": "v" for number in range(8)}
    assert judged("", eight) == []
    [message] = judged("", {**eight, "x-amz-meta-8": "v"})
    assert message == "9 headers are given, 8 at most are sent"
    assert judged("", {"x-key": "v" * 1019}) == []
    [message] = judged("", {"x-key": "v" * 1020})
    assert message == "names and values of its headers are 1025 bytes, 1024 fit"


def test_a_header_is_given_once() -> None:
    [message] = judged("", {"x-a": "1", "X-A": "2"})
    assert "given twice" in message


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, ""),
        ({"ContentType": "audio/wav"}, "signs the header content-type:"),
        ({"ServerSideEncryption": "aws:kms"}, "signs the header x-amz-server-side-encryption:"),
        ({"StorageClass": "STANDARD_IA"}, "signs the header x-amz-storage-class:"),
        ({"ACL": "private", "Metadata": {"a": "b"}}, "signs the headers x-amz-acl, x-amz-meta-a:"),
        ({"ContentMD5": MD5_OF_NOTHING}, "content-md5, and the file is not made yet"),
        ({"ChecksumAlgorithm": "CRC32"}, "x-amz-sdk-checksum-algorithm, and the file is not made"),
        ({"ChecksumSHA256": "hash"}, "x-amz-checksum-sha256, and the file is not made yet"),
    ],
)
def test_urls_are_read_as_an_sdk_makes_them(
    version: str, parameters: dict[str, object], said: str
) -> None:
    """Of both versions of AWS' signatures; what was signed is enough, where it can be given."""
    url = aws_client(version).generate_presigned_url(
        "put_object", Params={"Bucket": "stems", "Key": "vocals.wav", **parameters}
    )
    messages = [problem.message for problem in upload_problems(url, {})]
    assert said in "".join(messages)
    assert bool(messages) == bool(said)
    if parameters == {"ContentType": "audio/wav"}:
        assert list(upload_problems(url, {"Content-Type": "audio/wav"})) == []


@cache
def aws_client(version: str) -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="https://s3.example.com",
        aws_access_key_id="AK",
        aws_secret_access_key="hush",
        config=Config(signature_version=version),
    )


def test_headers_survive_the_secret() -> None:
    headers = {"x-amz-meta-a": 'a "quoted" word', "content-type": "audio/wav"}
    assert decode_headers(encode_headers(headers)) == headers


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"a": 1}', "null", "[" * 100_000])
def test_what_holds_no_headers_is_none(stored: str) -> None:
    assert decode_headers(stored) is None


@given(st.text(), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=9))
def test_any_query_and_any_headers_are_survived(query: str, headers: dict[str, str]) -> None:
    list(upload_problems(f"https://stems.example.com/a?{query}", headers))
    list(upload_problems(f"https://stems.example.com/a?X-Amz-SignedHeaders={query}", headers))

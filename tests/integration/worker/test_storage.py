"""The storage class and its command on a real S3 server, and behind one that fails at times."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support import plain_http
from tests.support.flaky_storage import Flaky
from tests.support.waiting import eventually

from splitjob.presigned import expiry
from splitjob_io import storage_cli
from splitjob_io.storage import S3Service, StorageError
from splitjob_local.cluster.s3server import S3Access


@pytest.fixture
def environment(s3: S3Access, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of somebody who uses this server's bucket."""
    for name, value in {
        "ENVIRONMENT": "prod",
        "S3_ENDPOINT": s3.endpoint,
        "S3_BUCKET": s3.bucket,
        "S3_ACCESS_KEY_ID": s3.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3.secret_access_key,
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_every_method_of_the_seed(storage: S3Service, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert storage.test_connection()
    assert storage.upload_file(file, "m/a", "audio/wav") == f"s3://{storage.bucket}/m/a"
    assert storage.upload_fileobj(BytesIO(b"other"), "m/b") == f"s3://{storage.bucket}/m/b"
    assert storage.file_exists("m/a")
    assert not storage.file_exists("m/never")
    assert storage.download_file("m/a", tmp_path / "deep" / "back") == str(
        tmp_path / "deep" / "back"
    )
    assert (tmp_path / "deep" / "back").read_bytes() == b"content"
    metadata = storage.get_object_metadata("m/a")
    assert (metadata["size"], metadata["content_type"]) == (7, "audio/wav")
    assert storage.get_object("m/b") == b"other"
    assert storage.copy_object("m/a", "m/c") == f"s3://{storage.bucket}/m/c"
    assert storage.set_object_tags("m/a", {"type": "audio"})
    assert storage.get_object_tags("m/a") == {"type": "audio"}
    assert [one["key"] for one in storage.list_objects("m/")] == ["m/a", "m/b", "m/c"]
    assert storage.delete_file("m/a")
    assert storage.delete_objects(["m/b", "m/c"]) == 2
    assert storage.list_objects("m/") == []


def test_presigned_urls_work_without_keys(storage: S3Service) -> None:
    put = storage.generate_presigned_put_url("p/x", 60)
    assert parse_qs(urlsplit(put).query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert plain_http.put(put, content=b"mine").status_code == 200
    get = storage.generate_presigned_get_url("p/x", 60, download_name="x.wav")
    answer = plain_http.get(get)
    assert answer.content == b"mine"
    assert 'filename="x.wav"' in answer.headers["Content-Disposition"]
    assert plain_http.get(get.replace("p/x", "p/y")).status_code == 403


def test_a_put_of_a_signed_size_takes_that_size_and_nothing_twice(storage: S3Service) -> None:
    """What a caller is given for a file of its own: one PUT, of one size, in time."""
    new = {"If-None-Match": "*"}
    url = storage.generate_presigned_put_url("p/new", 60, content_length=4, if_absent=True)
    for body in (b"", b"abc", b"abcde", b"x" * 100_000):
        assert plain_http.put(url, content=body, headers=new).status_code == 403, len(body)
    assert plain_http.put(url, content=b"abcd").status_code == 403, "the header is signed too"
    assert not storage.file_exists("p/new")
    elsewhere = url.replace("p/new", "p/else")
    assert plain_http.put(elsewhere, content=b"abcd", headers=new).status_code == 403
    assert plain_http.put(url, content=b"abcd", headers=new).status_code == 200
    again = plain_http.put(url, content=b"dcba", headers=new)
    assert again.status_code == 412, "it is not replaced"
    assert storage.get_object("p/new") == b"abcd"


def test_a_put_comes_too_late_once_its_url_has_ended(storage: S3Service) -> None:
    url = storage.generate_presigned_put_url("p/late", 1, content_length=4, if_absent=True)
    ends = expiry(url)
    assert ends
    eventually(lambda: datetime.now(UTC) > ends)
    answer = plain_http.put(url, content=b"abcd", headers={"If-None-Match": "*"})
    assert answer.status_code == 403
    assert not storage.file_exists("p/late")


def test_a_listing_comes_page_by_page(storage: S3Service) -> None:
    for name in "abc":
        storage.upload_fileobj(BytesIO(b"x"), f"pages/{name}")
    assert [one["key"] for one in storage.list_page("pages/")] == [f"pages/{n}" for n in "abc"]
    assert [one["key"] for one in storage.list_page("pages/", "pages/b")] == ["pages/c"]
    assert storage.list_page("pages/", "pages/c") == []


def test_a_download_is_watched_and_stopped(storage: S3Service, tmp_path: Path) -> None:
    content = bytes(20 * 2**20)  # in parts
    storage.upload_fileobj(BytesIO(content), "watched")
    pieces: list[int] = []
    storage.download_file("watched", tmp_path / "all", pieces.append)
    assert sum(pieces) == len(content)
    assert (tmp_path / "all").read_bytes() == content

    def stop(_count: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        storage.download_file("watched", tmp_path / "none", stop)
    assert [file.name for file in tmp_path.iterdir()] == ["all"]


def test_one_of_twenty_writers_wins(storage: S3Service) -> None:
    bodies = [f'{{"writer": {number}}}'.encode() for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(lambda body: storage.put_if_absent("race.json", body), bodies))
    assert won.count(True) == 1
    assert storage.get_json("race.json") == {"writer": won.index(True)}


def test_a_repeated_write_of_the_same_body_counts_as_written(storage: S3Service) -> None:
    assert storage.put_if_absent("again.json", b'{"one": 1}')
    assert storage.put_if_absent("again.json", b'{"one": 1}')
    assert not storage.put_if_absent("again.json", b'{"two": 2}')


def test_one_of_twenty_replaces_what_all_have_read(storage: S3Service) -> None:
    assert storage.put_if_absent("taken.json", b"of a former job")
    read = storage.read_object("taken.json")
    assert read
    assert read.content == b"of a former job"
    bodies = [f'{{"writer": {number}}}'.encode() for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        won = list(
            pool.map(lambda body: storage.put_if_unchanged("taken.json", body, read.etag), bodies)
        )
    assert won.count(True) == 1
    assert storage.get_json("taken.json") == {"writer": won.index(True)}
    again = bodies[won.index(True)]
    assert storage.put_if_unchanged("taken.json", again, read.etag)  # its first answer was lost


def test_nothing_is_written_in_the_place_of_what_is_gone(storage: S3Service) -> None:
    storage.put_if_absent("going.json", b"{}")
    read = storage.read_object("going.json")
    assert read
    storage.delete_file("going.json")
    assert storage.read_object("going.json") is None
    assert not storage.put_if_unchanged("going.json", b"[]", read.etag)
    assert not storage.file_exists("going.json")


def test_json_that_is_not_there_and_json_that_is_none(storage: S3Service) -> None:
    assert storage.get_json("nothing.json") is None
    storage.upload_fileobj(BytesIO(b"<html>"), "bad.json")
    with pytest.raises(StorageError, match="is not JSON"):
        storage.get_json("bad.json")


def test_503_and_resets_are_tried_again(flaky: tuple[Flaky, S3Service]) -> None:
    """Acceptance 49."""
    front, storage = flaky
    front.failures = [503, None, 500]
    storage.upload_fileobj(BytesIO(b"content"), "flaky")
    assert len(front.asked) >= 4
    front.failures = [None, 503]
    assert storage.get_object("flaky") == b"content"
    front.failures = [503]
    assert storage.put_if_absent("flaky.json", b'{"x": 1}')


def test_a_refusal_is_not_tried_again_and_tells_no_secret(
    s3: S3Access, flaky: tuple[Flaky, S3Service]
) -> None:
    """Acceptance 49."""
    front, _ = flaky
    wrong = S3Access(s3.endpoint, s3.access_key_id, "not-the-secret", s3.bucket).service()
    with pytest.raises(StorageError) as caught:
        wrong.upload_fileobj(BytesIO(b"x"), "refused")
    assert caught.value.status == 403
    assert not caught.value.retryable
    assert "not-the-secret" not in str(caught.value)
    assert not wrong.test_connection()
    assert front.asked == []


def test_a_storage_that_is_not_there_may_be_tried_again(s3: S3Access) -> None:
    nobody = S3Access("http://127.0.0.1:1", s3.access_key_id, "x", s3.bucket).service()
    with pytest.raises(StorageError) as caught:
        nobody.get_object("x")
    assert caught.value.retryable


def test_the_command_says_that_a_good_bucket_works(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], storage: S3Service
) -> None:
    assert storage_cli.main(["test"]) == 0
    out = capsys.readouterr().out
    assert "This bucket can be used." in out
    assert out.count("  works ") == 20
    assert storage.list_objects("storage-test/") == []


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("S3_SECRET_ACCESS_KEY", "wrong", "check S3_SECRET_ACCESS_KEY"),
        ("S3_ACCESS_KEY_ID", "nobody", "check S3_ACCESS_KEY_ID"),
        ("S3_BUCKET", "no-such-bucket", "there is no bucket of that name"),
        ("S3_ENDPOINT", "http://127.0.0.1:1", "check S3_ENDPOINT"),
    ],
)
def test_the_command_says_what_is_wrong(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    advice: str,
) -> None:
    environment.setenv(variable, value)
    assert storage_cli.main(["test"]) == 1
    assert advice in capsys.readouterr().out

"""Buckets that demand more than a signature: each setting meets its demand, in all that is done.

The demands are those of a front before the real S3 server (`tests.support.strict_front`).
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from tests.support import plain_http
from tests.support.name_table import name_table
from tests.support.strict_front import (
    Demand,
    StrictFront,
    both,
    encrypted,
    object_lock,
    requester_pays,
    virtual_host,
)
from tests.support.web import web_server

from splitjob_io import storage_cli
from splitjob_io.storage import S3Service, StorageError
from splitjob_local.cluster import s3server
from splitjob_local.cluster.s3server import S3Access
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.supervised import Processes
from splitjob_local.programs.binaries import find_binaries

BY_KMS = "S3_SSE=aws:kms (chart value storage.serverSideEncryption)"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d"
PARTS = 9 << 20


@contextmanager
def strict(s3: S3Access, demand: Demand) -> Iterator[tuple[StrictFront, S3Service]]:
    with web_server() as web:
        front = StrictFront(web, s3, demand)
        yield front, front.access.service()


def asking(service: S3Service, **settings: object) -> S3Service:
    return S3Service(service.settings.model_copy(update=settings))


def write_in_every_way(storage: S3Service, folder: Path) -> None:
    """Everything that writes, and what is read back of it."""
    large = folder / "large"
    large.write_bytes(bytes(PARTS))
    storage.upload_file(large, "demands/large")
    storage.upload_fileobj(BytesIO(b"small"), "demands/small")
    upload = storage.create_multipart_upload("demands/parts", "audio/wav")
    parts = {2: storage.upload_part("demands/parts", upload, 2, b"end")}
    parts[1] = storage.upload_part("demands/parts", upload, 1, bytes(5 << 20))
    storage.complete_multipart_upload("demands/parts", upload, parts)
    storage.delete_file("demands/once")
    assert storage.put_if_absent("demands/once", b"{}")
    read = storage.read_object("demands/once")
    assert read
    assert storage.put_if_unchanged("demands/once", b"[]", read.etag)
    storage.copy_object("demands/small", "demands/copy")
    assert storage.get_object("demands/copy") == b"small"
    assert storage.get_object_metadata("demands/large")["size"] == PARTS
    assert storage.get_object_metadata("demands/parts")["size"] == (5 << 20) + 3
    storage.download_file("demands/large", folder / "back")
    assert storage.delete_objects(["demands/large", "demands/parts"]) == 2
    names = [one["key"] for one in storage.list_objects("demands/")]
    assert names == [f"demands/{name}" for name in ("copy", "once", "small")]


CASES: dict[str, tuple[Demand, dict[str, object]]] = {
    "object lock, crc32": (object_lock, {"s3_checksum": "crc32"}),
    "object lock, sha256": (object_lock, {"s3_checksum": "sha256"}),
    "encryption by a key": (
        encrypted("aws:kms", KEY),
        {"s3_sse": "aws:kms", "s3_sse_kms_key_id": KEY},
    ),
    "requester pays": (requester_pays, {"s3_requester_pays": True}),
    "several": (
        both(object_lock, encrypted("AES256")),
        {"s3_sse": "AES256"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_all_that_is_done_meets_the_demand(s3: S3Access, tmp_path: Path, case: str) -> None:
    demand, settings = CASES[case]
    with strict(s3, demand) as (_, plain):
        if demand is not object_lock:
            with pytest.raises(StorageError) as refused:
                plain.upload_fileobj(BytesIO(b"x"), "demands/refused")
            assert refused.value.status == 403
            assert "storage test" in refused.value.advice
        write_in_every_way(asking(plain, **settings), tmp_path)


def test_presigned_urls_meet_them_too(s3: S3Access) -> None:
    """The payer is in the URL, which browsers follow; an encryption is a header that is sent."""
    with strict(s3, both(requester_pays, encrypted("aws:kms", KEY))) as (front, plain):
        storage = asking(
            plain,
            s3_requester_pays=True,
            s3_sse="aws:kms",
            s3_sse_kms_key_id=KEY,
            s3_storage_class="STANDARD_IA",
        )
        put = storage.generate_presigned_put_url("presigned/new", 60, content_length=4)
        assert plain_http.put(put, content=b"mine").status_code == 403
        answer = plain_http.put(put, content=b"mine", headers=storage.upload_headers)
        assert answer.status_code == 200
        get = storage.generate_presigned_get_url("presigned/new", 60)
        assert plain_http.get(get).content == b"mine"
        assert plain_http.get(get.replace("request-payer", "request-player")).status_code == 403
        assert "x-amz-storage-class" not in front.seen[-2][2]


def test_a_storage_class_is_asked_for_where_objects_begin(s3: S3Access, tmp_path: Path) -> None:
    with strict(s3, lambda *_: None) as (front, plain):
        write_in_every_way(asking(plain, s3_storage_class="STANDARD_IA"), tmp_path)
        classes = {
            (method, "partNumber" in query): headers.get("x-amz-storage-class")
            for method, query, headers in front.seen
            if method == "PUT" or "uploads" in query
        }
    assert classes == {
        ("PUT", False): "STANDARD_IA",
        ("PUT", True): None,
        ("POST", False): "STANDARD_IA",
    }


def test_without_settings_nothing_is_sent_but_a_digest_that_all_know(
    s3: S3Access, tmp_path: Path
) -> None:
    """R2 and others refuse what they do not know."""
    with strict(s3, lambda *_: None) as (front, plain):
        write_in_every_way(plain, tmp_path)
    sent = {name for method, _, headers in front.seen if method == "PUT" for name in headers}
    assert not {name for name in sent if name.startswith(("x-amz-checksum", "x-amz-server-side"))}
    assert "content-md5" in sent
    assert not {"x-amz-storage-class", "x-amz-request-payer", "x-amz-trailer"} & sent


class TestVirtualHosts:
    """An endpoint that knows a bucket by the host alone: the real server with a domain of its own.

    Names below `localhost` are looked up in a table of the test, since not every system knows them.
    """

    @pytest.fixture
    def front(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[StrictFront]:
        program = find_binaries(lambda text: print(text, file=sys.__stderr__))["versitygw"]
        folder = tmp_path_factory.mktemp("s3")
        with PortLeases() as leases, closing(Processes(folder)) as processes, web_server() as web:
            s3 = S3Access.new(f"http://127.0.0.1:{leases.port()}")
            domain = web.url.removeprefix("http://").replace("127.0.0.1", "localhost")
            server = s3server.process(program, folder, s3)
            first, *rest = server.command
            of_domain = replace(server, command=(first, f"--virtual-domain={domain}", *rest))
            s3server.start(processes, of_domain, s3)
            host = f"{s3.bucket}.{domain}"
            name_table(monkeypatch)[host.partition(":")[0]] = [["127.0.0.1"]]
            front = StrictFront(web, s3, virtual_host(host))
            front.access = replace(s3, endpoint=f"http://{domain}")
            yield front

    def test_all_that_is_done_names_the_bucket_by_the_host(
        self, front: StrictFront, tmp_path: Path
    ) -> None:
        plain = front.access.service()
        with pytest.raises(StorageError):
            plain.upload_fileobj(BytesIO(b"x"), "demands/refused")
        storage = asking(plain, s3_addressing_style="virtual")
        write_in_every_way(storage, tmp_path)
        put = storage.generate_presigned_put_url("presigned/new", 60, content_length=4)
        assert plain_http.put(put, content=b"mine").status_code == 200
        get = storage.generate_presigned_get_url("presigned/new", 60)
        assert plain_http.get(get).content == b"mine"

    def test_the_command_says_so(
        self,
        front: StrictFront,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("ENVIRONMENT", "prod")
        monkeypatch.setenv("S3_ENDPOINT", front.access.endpoint)
        monkeypatch.setenv("S3_BUCKET", front.access.bucket)
        monkeypatch.setenv("S3_ACCESS_KEY_ID", front.access.access_key_id)
        monkeypatch.setenv("S3_SECRET_ACCESS_KEY", front.access.secret_access_key)
        assert storage_cli.main(["test"]) == 1
        said = "set S3_ADDRESSING_STYLE=virtual (chart value storage.addressingStyle)."
        assert said in capsys.readouterr().out


class TestCommand:
    """`track-tree-audio storage test` names what is missing, by trying it."""

    @pytest.fixture
    def environment(self, s3: S3Access, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        monkeypatch.setenv("ENVIRONMENT", "prod")
        monkeypatch.setenv("S3_BUCKET", s3.bucket)
        monkeypatch.setenv("S3_ACCESS_KEY_ID", s3.access_key_id)
        monkeypatch.setenv("S3_SECRET_ACCESS_KEY", s3.secret_access_key)
        return monkeypatch

    @pytest.mark.parametrize(
        ("demand", "said"),
        [
            (encrypted("AES256"), "set S3_SSE=AES256 (chart value storage.serverSideEncryption)."),
            (requester_pays, "set S3_REQUESTER_PAYS=true (chart value storage.requesterPays)."),
            (both(object_lock, encrypted("aws:kms")), f"set {BY_KMS}."),
            (
                both(requester_pays, encrypted("AES256")),
                "set S3_REQUESTER_PAYS=true (chart value storage.requesterPays) and S3_SSE=AES256",
            ),
        ],
    )
    def test_it_names_the_setting_and_tries_the_rest_with_it(
        self,
        s3: S3Access,
        environment: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        demand: Demand,
        said: str,
    ) -> None:
        with strict(s3, demand) as (front, _):
            environment.setenv("S3_ENDPOINT", front.url)
            assert storage_cli.main(["test"]) == 1
            out = capsys.readouterr().out
            assert said in out
            assert out.count("FAILED") == said.count(" and ") + 1, out

    def test_it_is_content_once_the_settings_are_there(
        self, s3: S3Access, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with strict(s3, both(object_lock, encrypted("AES256"), requester_pays)) as (front, _):
            environment.setenv("S3_ENDPOINT", front.url)
            environment.setenv("S3_SSE", "AES256")
            environment.setenv("S3_REQUESTER_PAYS", "true")
            assert storage_cli.main(["test"]) == 0
        assert "This bucket can be used." in capsys.readouterr().out

    def test_a_key_that_nobody_can_guess_is_hinted_at(
        self, s3: S3Access, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with strict(s3, encrypted("aws:kms", KEY)) as (front, _):
            environment.setenv("S3_ENDPOINT", front.url)
            assert storage_cli.main(["test"]) == 1
        assert "a key of KMS (S3_SSE_KMS_KEY_ID)" in capsys.readouterr().out

"""The downloader, against a real HTTP server with the publishers' layout."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from splitjob_local.programs.releases import (
    Releases,
    ReleaseUnavailableError,
    checksum_in,
    download_programs,
)
from splitjob_local.programs.versions import (
    ETCD,
    HELM,
    KUBERNETES,
    PROGRAMS,
    VERSITYGW,
    pinned_versions,
)

PINS = pinned_versions()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, Releases]]:
    """A folder served over HTTP, and the releases that point to it."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    yield (
        folder,
        Releases(
            kubernetes=f"{base}/kubernetes",
            etcd=f"{base}/etcd",
            helm=f"{base}/helm",
            versitygw=f"{base}/versitygw",
            platform=("linux", "amd64"),
        ),
    )
    server.shutdown()
    server.server_close()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(member: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        information = tarfile.TarInfo(member)
        information.size = len(content)
        file.addfile(information, io.BytesIO(content))
    return packed.getvalue()


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def publish(folder: Path) -> None:
    """Lay out a release of every program as its publisher does."""
    kubernetes = folder / "kubernetes" / f"v{PINS[KUBERNETES]}" / "bin" / "linux" / "amd64"
    for program in PROGRAMS:
        if program.module == KUBERNETES:
            content = f"#!{program.name}".encode()
            put(kubernetes / program.name, content)
            put(kubernetes / f"{program.name}.sha256", sha256(content))
    name = f"etcd-v{PINS[ETCD]}-linux-amd64"
    packed = archive(f"{name}/etcd", b"#!etcd")
    put(folder / "etcd" / f"v{PINS[ETCD]}" / f"{name}.tar.gz", packed)
    sums = f"{sha256(b'other')}  {name}.zip\n{sha256(packed)}  {name}.tar.gz\n"
    put(folder / "etcd" / f"v{PINS[ETCD]}" / "SHA256SUMS", sums)
    name = f"helm-v{PINS[HELM]}-linux-amd64.tar.gz"
    packed = archive("linux-amd64/helm", b"#!helm")
    put(folder / "helm" / name, packed)
    put(folder / "helm" / f"{name}.sha256sum", f"{sha256(packed)}  {name}\n")
    name = f"versitygw_v{PINS[VERSITYGW]}_Linux_x86_64"
    packed = archive(f"{name}/versitygw", b"#!versitygw")
    put(folder / "versitygw" / f"v{PINS[VERSITYGW]}" / f"{name}.tar.gz", packed)
    sums = f"{sha256(packed)}  {name}.tar.gz\n"
    put(folder / "versitygw" / f"v{PINS[VERSITYGW]}" / "checksums.txt", sums)


def test_every_program_is_downloaded_checked_and_made_executable(
    site: tuple[Path, Releases], tmp_path: Path
) -> None:
    folder, releases = site
    publish(folder)
    target = tmp_path / "bin"
    target.mkdir()
    said: list[str] = []

    download_programs(releases, target, said.append)

    assert sorted(path.name for path in target.iterdir()) == sorted(p.name for p in PROGRAMS)
    for program in PROGRAMS:
        path = target / program.name
        assert path.read_text() == f"#!{program.name}"
        assert path.stat().st_mode & 0o111
    assert len(said) == len(PROGRAMS)


def test_a_file_that_does_not_match_its_checksum_is_not_kept(
    site: tuple[Path, Releases], tmp_path: Path
) -> None:
    folder, releases = site
    publish(folder)
    served = next(folder.glob("helm/*.tar.gz"))
    served.write_bytes(served.read_bytes() + b"tampered")
    target = tmp_path / "bin"
    target.mkdir()

    with pytest.raises(ReleaseUnavailableError, match="does not match its checksum"):
        download_programs(releases, target, lambda _text: None)

    assert not list(target.glob("helm*"))


def test_nothing_large_is_downloaded_when_a_checksum_is_missing(
    site: tuple[Path, Releases], tmp_path: Path
) -> None:
    folder, releases = site
    publish(folder)
    next(folder.glob("versitygw/*/checksums.txt")).unlink()
    target = tmp_path / "bin"
    target.mkdir()

    with pytest.raises(ReleaseUnavailableError, match=r"checksums\.txt answered 404"):
        download_programs(releases, target, lambda _text: None)

    assert not list(target.iterdir())


def test_an_archive_without_the_program_says_so(
    site: tuple[Path, Releases], tmp_path: Path
) -> None:
    folder, releases = site
    publish(folder)
    name = f"helm-v{PINS[HELM]}-linux-amd64.tar.gz"
    packed = archive("linux-amd64/README.md", b"no program")
    put(folder / "helm" / name, packed)
    put(folder / "helm" / f"{name}.sha256sum", f"{sha256(packed)}  {name}\n")
    target = tmp_path / "bin"
    target.mkdir()

    with pytest.raises(ReleaseUnavailableError, match="contains no helm"):
        download_programs(releases, target, lambda _text: None)


def test_a_publisher_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    releases = Releases(kubernetes="http://127.0.0.1:9", platform=("linux", "amd64"))

    with pytest.raises(ReleaseUnavailableError, match=r"127\.0\.0\.1:9.*cannot be reached"):
        download_programs(releases, tmp_path, lambda _text: None)


def test_no_kubernetes_servers_are_published_for_macos() -> None:
    with pytest.raises(ReleaseUnavailableError, match="darwin/arm64"):
        Releases(platform=("darwin", "arm64")).files()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 64, "a" * 64),
        ("A" * 64 + "\n", "a" * 64),
        (f"{'b' * 64}  other\n{'c' * 64}  file.tar.gz\n", "c" * 64),
        (f"{'c' * 64} *file.tar.gz\n", "c" * 64),
        (f"{'c' * 64}  ./file.tar.gz\n", "c" * 64),
        (f"{'c' * 64}  prefix-file.tar.gz\n", None),
        (f"{'c' * 63}  file.tar.gz\n", None),
        ("<html>moved</html>", None),
        ("", None),
    ],
)
def test_checksum_files_are_read_in_each_publishers_form(text: str, expected: str | None) -> None:
    assert checksum_in(text, "file.tar.gz") == expected

"""The S3 server of a local cluster: versitygw over a folder of this machine.

It checks signatures and the expiry of presigned URLs, and supports ranges, tags, copies, multipart
uploads and `If-None-Match`, so that what works with it works with a real bucket.
"""

import secrets
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from splitjob.storage_settings import StorageSettings
from splitjob_local.cluster.pki import KeyPair
from splitjob_local.console import Say
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.supervised import (
    Processes,
    ProcessSpec,
    clean_environment,
)
from splitjob_local.programs.binaries import find_binaries

if TYPE_CHECKING:
    from splitjob_io.storage import S3Service

NAME = "s3"
REGION = "us-east-1"
BUCKET = "stems"
HEALTH_PATH = "/healthz"
START_SECONDS = 90.0  # it takes a tenth of a second; a machine that is busy otherwise, many


@dataclass(frozen=True)
class S3Access:
    """What a client needs to use the bucket.

    Attributes:
        identity: the server's certificate; None: plain HTTP.
        trust: the CA certificates that a client needs for it.
    """

    endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str = REGION
    identity: KeyPair | None = None
    trust: Path | None = None

    @classmethod
    def new(
        cls, endpoint: str, identity: KeyPair | None = None, trust: Path | None = None
    ) -> "S3Access":
        """Return access to a new server at an address, with new keys."""
        return cls(
            endpoint=endpoint,
            access_key_id=f"LOCAL{secrets.token_hex(8).upper()}",
            secret_access_key=secrets.token_urlsafe(30),
            bucket=BUCKET,
            identity=identity,
            trust=trust,
        )

    def service(self) -> "S3Service":
        """Return the project's storage class for this bucket."""
        # boto3 takes half a second to import; here that passes while the control plane starts.
        from splitjob_io.storage import S3Service  # noqa: PLC0415

        settings = StorageSettings(
            environment="local",
            s3_endpoint=self.endpoint,
            s3_region=self.region,
            s3_bucket=self.bucket,
            s3_access_key_id=self.access_key_id,
            s3_secret_access_key=SecretStr(self.secret_access_key),
        )
        return S3Service(settings)


def process(program: Path, folder: Path, access: S3Access) -> ProcessSpec:
    """Return the server's process; the keys go through its environment, where `ps` shows none.

    The metadata of objects goes into separate files, because not every file system supports
    extended attributes.
    """
    data, metadata = folder / "s3" / "data", folder / "s3" / "metadata"
    for path in (data, metadata):
        path.mkdir(parents=True, exist_ok=True)
    address = access.endpoint.partition("://")[2]
    identity = access.identity
    tls = [f"--cert={identity.certificate}", f"--key={identity.key}"] if identity else []
    return ProcessSpec(
        NAME,
        (
            str(program),
            f"--port={address}",
            f"--region={access.region}",
            f"--health={HEALTH_PATH}",
            *tls,
            "--quiet",
            "posix",
            f"--sidecar={metadata}",
            str(data),
        ),
        clean_environment(
            ROOT_ACCESS_KEY=access.access_key_id, ROOT_SECRET_KEY=access.secret_access_key
        ),
    )


@contextmanager
def serving(folder: Path, say: Say) -> Iterator[S3Access]:
    """Run a server with an empty bucket by itself, without a cluster, for as long as it is used.

    Args:
        folder: for its data and its log.
        say: told about steps that take a while.

    Raises:
        GoBuildError: its program could not be had.
        ProcessError: it has ended, or does not answer in time.
    """
    program = find_binaries(say)["versitygw"]
    with PortLeases() as leases, closing(Processes(folder)) as processes:
        access = S3Access.new(f"http://127.0.0.1:{leases.port()}")
        start(processes, process(program, folder, access), access)
        yield access


def start(processes: Processes, server: ProcessSpec, access: S3Access) -> None:
    """Start a new server, and create its bucket once it answers.

    Raises:
        ProcessError: it has ended, or does not answer in time.
    """
    processes.start(server)
    wait_until_ready(processes, access)
    access.service().client.create_bucket(Bucket=access.bucket)


def wait_until_ready(processes: Processes, access: S3Access) -> None:
    """Wait until the server answers.

    Raises:
        ProcessError: it has ended, or does not answer in time.
    """
    verify = ssl.create_default_context(cafile=access.trust) if access.trust else True
    with httpx.Client(timeout=2, trust_env=False, verify=verify) as client:
        processes.wait_until(
            lambda: _is_healthy(client, access),
            START_SECONDS,
            "the S3 server does not answer",
            NAME,
        )


def _is_healthy(client: httpx.Client, access: S3Access) -> bool:
    try:
        return client.get(access.endpoint + HEALTH_PATH).is_success
    except httpx.HTTPError:
        return False

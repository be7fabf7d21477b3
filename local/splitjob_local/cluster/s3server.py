"""The S3 server of a local cluster: versitygw over a folder of this machine.

It checks signatures and the expiry of presigned URLs, and supports ranges, tags, copies, multipart
uploads and `If-None-Match`, so that what works with it works with a real bucket.
"""

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from splitjob.storage_settings import StorageSettings
from splitjob_local.cluster.pki import KeyPair
from splitjob_local.processes.supervised import (
    Processes,
    ProcessSpec,
    clean_environment,
)

if TYPE_CHECKING:
    from splitjob_io.storage import S3Service

NAME = "s3"
REGION = "us-east-1"
BUCKET = "stems"
HEALTH_PATH = "/healthz"
START_SECONDS = 20.0


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


def create_bucket(access: S3Access) -> None:
    """Create the bucket of a new server."""
    access.service().client.create_bucket(Bucket=access.bucket)

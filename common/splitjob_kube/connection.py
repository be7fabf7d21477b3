"""How to reach the API server, as it was read from where that is said."""

from dataclasses import dataclass, field
from typing import NamedTuple

from splitjob.egress import Proxy

__all__ = ["Account", "Connection"]


@dataclass(frozen=True)
class Connection:
    """How to reach the API server.

    Attributes:
        server: its URL.
        ca_path: the file with its authority's certificate.
        verify: whether its certificate is to be checked.
        token: ours, bare.
        certificate_path, key_path: the files of our own certificate.
        server_name: whom its certificate must name, where that is not the URL's host.
        proxy: the one on the way; None: there is none.
    """

    server: str
    ca_path: str | None
    verify: bool
    token: str | None = field(repr=False)
    certificate_path: str | None
    key_path: str | None
    server_name: str | None = None
    proxy: Proxy | None = None


class Account(NamedTuple):
    """Where the API server is, and who we are there.

    Attributes:
        connection: how to reach it.
        namespace: our own.
    """

    connection: Connection
    namespace: str

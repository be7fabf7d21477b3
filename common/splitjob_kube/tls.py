"""TLS to the API server."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from urllib3.util.ssl_ import create_urllib3_context

from splitjob_kube.connection import Connection
from splitjob_kube.http_connection import Server

__all__ = ["TlsContexts", "server_of"]


def server_of(connection: Connection, tls: ssl.SSLContext) -> Server:
    """Return who is called over a connection, with a TLS context for it."""
    url = urlsplit(connection.server)
    host, proxy = url.hostname or "", connection.proxy
    if url.scheme == "https":
        return Server(host, url.port or 443, tls, connection.server_name, proxy)
    return Server(host, url.port or 80, None, None, proxy)


class TlsContexts:
    """Makes a TLS context anew only where what it is made of has changed.

    The files are replaced under their names, certificate and key one after the other: what does not
    fit together stays as it was until it is read again.
    """

    def __init__(self) -> None:
        self._made_of: object = None
        self._context: ssl.SSLContext | None = None

    def context(self, connection: Connection) -> ssl.SSLContext:
        """Return the context for a connection.

        Raises:
            OSError: there is none yet, and the files cannot be read or hold something else.
        """
        try:
            made_of = _contents(connection)
            if self._context is None or made_of != self._made_of:
                self._context, self._made_of = _tls_context(connection), made_of
        except OSError:  # as ssl.SSLError is
            if self._context is None:
                raise
        return self._context


def _contents(connection: Connection) -> tuple[object, ...]:
    """Return all that a TLS context is made of."""
    paths = (connection.ca_path, connection.certificate_path, connection.key_path)
    return (connection.verify, *(Path(path).read_bytes() if path else None for path in paths))


def _tls_context(connection: Connection) -> ssl.SSLContext:
    """Return a context as urllib3 makes it, for both clients to judge a server alike."""
    context = create_urllib3_context(
        cert_reqs=ssl.CERT_REQUIRED if connection.verify else ssl.CERT_NONE
    )
    if connection.ca_path:
        context.load_verify_locations(connection.ca_path)
    else:
        context.load_default_certs()
    if connection.certificate_path:
        context.load_cert_chain(connection.certificate_path, connection.key_path)
    return context

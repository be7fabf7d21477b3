"""Why a certificate was refused, in words: the usual reason is an authority of one's own."""

import re
import ssl
from collections.abc import Iterator
from typing import Any

from urllib3.util.ssl_match_hostname import CertificateError

# OpenSSL's reasons that a further authority would do away with (x509_vfy.h): an issuer that is not
# known, a certificate that is its own issuer, alone or in the chain, one that nothing vouches for.
_NOT_TRUSTED = {2, 18, 19, 20, 21}
# What a message may show of a certificate, which a stranger may have made.
_NOT_SHOWN = re.compile(r"[^A-Za-z0-9 .,:*_@()/-]")
_MAX_SHOWN = 64


class ExplainingSocket(ssl.SSLSocket):
    """A TLS connection whose refusal says which certificate was refused.

    For `ssl.SSLContext.sslsocket_class`. `certificate_problem` reads the note.
    """

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands.

        Raises:
            ssl.SSLCertVerificationError: with a note of whom the certificate is for, and whose.
        """
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as refused:
            if shown := self._shown_certificate():
                refused.add_note(_described(shown))
            raise

    def _shown_certificate(self) -> dict[str, Any]:
        """Return the certificate of the other side, as `getpeercert` would if it were valid."""
        chain = self._sslobj.get_unverified_chain() if self._sslobj else None  # type: ignore[attr-defined]
        return chain[0].get_info() if chain else {}


def certificate_problem(error: BaseException, host: str | None) -> str:
    """Return whose certificate was refused and what to do, as a clause.

    Args:
        error: as httpx or botocore raised it.
        host: who was called: never a whole URL, which may hold a signature.

    Returns:
        The clause; blank where the error is about something else.
    """
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message.rstrip(".")
            shown = "".join(f"; {note}" for note in getattr(cause, "__notes__", ())[:1])
            if cause.verify_code in _NOT_TRUSTED:
                return (
                    f"the certificate of {host} is not trusted ({reason}): "
                    f"add its authority with caBundle{shown}"
                )
            return f"the certificate of {host} is not valid ({reason}){shown}"
        if isinstance(cause, CertificateError):  # urllib3 compares the names itself
            return f"the certificate of {host} is not valid (it is for another name)"
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _described(certificate: dict[str, Any]) -> str:
    subject = _name(certificate.get("subject", ()))
    issuer = _name(certificate.get("issuer", ()))
    return f"it is for {subject}, issued by {issuer}, until {certificate.get('notAfter', '?')}"


def _name(parts: Any) -> str:  # noqa: ANN401 - tuples within tuples, as `ssl` has them
    """Return the common name of a subject or an issuer, or its organisation."""
    found = {key: value for part in parts for key, value in part}
    name = found.get("commonName") or found.get("organizationName") or "nobody named"
    return _NOT_SHOWN.sub("?", str(name))[:_MAX_SHOWN]

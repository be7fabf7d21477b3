"""Why a certificate was refused, in words: the usual reason is an authority of one's own."""

import ssl
from collections.abc import Iterator

from urllib3.util.ssl_match_hostname import CertificateError

# OpenSSL's reasons that a further authority would do away with (x509_vfy.h): an issuer that is not
# known, a certificate that is its own issuer, alone or in the chain, one that nothing vouches for.
_NOT_TRUSTED = {2, 18, 19, 20, 21}


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
            if cause.verify_code in _NOT_TRUSTED:
                return (
                    f"the certificate of {host} is not trusted ({reason}): "
                    "add its authority with caBundle"
                )
            return f"the certificate of {host} is not valid ({reason})"
        if isinstance(cause, CertificateError):  # urllib3 compares the names itself
            return f"the certificate of {host} is not valid (it is for another name)"
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

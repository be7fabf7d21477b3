"""The HTTP session of kopf's watches: a kind that is gone is an outage to it, not the end."""

from http import HTTPStatus

import aiohttp
import kopf

from splitjob_kube.connection import Connection

__all__ = ["session"]


def session(to: Connection) -> kopf.AiohttpSession:
    """Return a session in the running event loop; kopf closes it.

    kopf ends the operator where a watch is answered 404, as after the CustomResourceDefinition was
    deleted. What it tries again for ever is a connection that breaks.
    """
    info = kopf.ConnectionInfo(
        server=to.server,
        ca_path=to.ca_path,
        insecure=not to.verify,
        token=to.token,
        certificate_path=to.certificate_path,
        private_key_path=to.key_path,
    )
    return kopf.AiohttpSession(
        server=to.server,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            middlewares=(_missing_kind_is_an_outage,),
        ),
    )


async def _missing_kind_is_an_outage(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status != HTTPStatus.NOT_FOUND:
        return response
    response.release()
    raise aiohttp.ClientConnectionError(f"{request.url.path} is not served")

"""Pages for people: the API's description and the console, and the files that they are made of."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Request
from fastapi.responses import Response

from splitjob_api.etags import has_etag

DOCS = "/docs"
CONSOLE = "/console"
_ASSETS = "/assets/"
_PAGES = {DOCS: "docs.html", CONSOLE: "console.html"}
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class WebFile:
    """A file that browsers are given.

    Attributes:
        content: its bytes.
        media_type: what it is.
        etag: changes with the content.
    """

    content: bytes
    media_type: str
    etag: str


def web_files(*, console: bool) -> dict[str, WebFile]:
    """Return what browsers are given, by path. None of it tells more than this program's source.

    Args:
        console: whether the console is among it.
    """
    folder = files("splitjob_api") / "web"
    pages = {path: name for path, name in _PAGES.items() if console or path != CONSOLE}
    assets = [one.name for one in folder.iterdir() if not one.name.endswith(".html")]
    names = pages | {_ASSETS + name: name for name in assets}
    return {path: _web_file(name, (folder / name).read_bytes()) for path, name in names.items()}


def web_router(web: Mapping[str, WebFile], media_origins: Sequence[str] = ()) -> APIRouter:
    """Return the routes of these files; the API's description does not list them.

    Args:
        web: as `web_files` returns them.
        media_origins: where stems are played from, such as `https://bucket.example.com`.
    """
    router = APIRouter(include_in_schema=False)
    headers = _headers(media_origins)
    for path, file in web.items():
        router.add_api_route(path, _endpoint(file, headers), methods=["GET"])
    return router


def _web_file(name: str, content: bytes) -> WebFile:
    digest = hashlib.sha256(content).hexdigest()[:32]
    return WebFile(content, _MEDIA_TYPES[PurePosixPath(name).suffix], f'"{digest}"')


def _endpoint(
    file: WebFile, headers: Mapping[str, str]
) -> Callable[[Request], Awaitable[Response]]:
    every = {**headers, "ETag": file.etag}

    async def answer(request: Request) -> Response:
        if has_etag(request.headers.getlist("if-none-match"), file.etag):
            return Response(status_code=304, headers=every)
        return Response(file.content, media_type=file.media_type, headers=every)

    return answer


def _headers(media_origins: Sequence[str]) -> dict[str, str]:
    """Return what keeps a page to itself: its own files, this API, and the bucket for players."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "media-src": " ".join(media_origins) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-cache",  # asked again with the ETag: pages and files of one release
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

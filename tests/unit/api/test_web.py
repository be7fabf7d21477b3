"""The pages for browsers: what they are made of, and what keeps them to themselves."""

import re

from fastapi import FastAPI
from starlette.testclient import TestClient

from splitjob_api.routes.web import web_files, web_router

FILES = web_files(console=True)
IMPORT = re.compile(r"""(?:from|import\()\s*["']([^"']+)["']""")


def client(*media_origins: str) -> TestClient:
    app = FastAPI(docs_url=None)
    app.include_router(web_router(FILES, media_origins))
    return TestClient(app)


def policy(answer_headers: dict[str, str]) -> dict[str, str]:
    parts = answer_headers["content-security-policy"].split("; ")
    return dict(part.split(" ", 1) for part in parts)


def test_pages_may_load_what_this_api_serves_and_nothing_else() -> None:
    for path in ("/docs", "/console"):
        rules = policy(dict(client().get(path).headers))
        assert rules["default-src"] == "'none'"
        assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert rules["frame-ancestors"] == "'none'"
        assert rules["media-src"] == "'none'"


def test_players_may_load_from_the_bucket_that_is_named() -> None:
    rules = policy(dict(client("https://bucket.example.com").get("/console").headers))
    assert rules["media-src"] == "https://bucket.example.com"


def test_nothing_comes_from_elsewhere() -> None:
    for path, file in FILES.items():
        text = file.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path
        assert "https:" not in text, path


def test_scripts_import_what_is_there() -> None:
    for path, file in FILES.items():
        for name in IMPORT.findall(file.content.decode()) if path.endswith(".js") else []:
            assert f"/assets/{name.removeprefix('./')}" in FILES, (path, name)


def test_scripts_and_styles_stand_in_files_of_their_own() -> None:
    for path, file in FILES.items():
        if file.media_type.startswith("text/html"):
            text = file.content.decode()
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), path


def test_a_file_that_a_browser_has_is_not_sent_again() -> None:
    first = client().get("/assets/console.js")
    etag = first.headers["etag"]
    for known in (etag, f'"another", {etag}', f"W/{etag}"):  # as proxies that compress write it
        again = client().get("/assets/console.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    other = client().get("/assets/console.js", headers={"If-None-Match": '"another"'})
    assert other.content == first.content
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"


def test_an_installation_without_a_console_still_describes_its_api() -> None:
    assert "/console" in FILES
    without = web_files(console=False)
    assert "/console" not in without
    assert "/docs" in without

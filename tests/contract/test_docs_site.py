"""The documentation as a site: a strict build, no dead link, nothing from elsewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Html(HTMLParser):
    """One page: what can be linked to in it, what it links to, and what it loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if LOADED.get(tag, "") in given and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given[LOADED[tag]])


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
    ]  # --quiet would hide warnings from --strict
    return subprocess.run(
        [*command, f"--config-file={config}", f"--site-dir={folder}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    found = {page.relative_to(site): Html(page.read_text()) for page in site.rglob("*.html")}
    del found[Path("404.html")]  # its links are written for the site's root
    return found


def links(pages: dict[Path, Html]) -> Iterator[tuple[Path, str]]:
    for page, content in pages.items():
        yield from ((page, link) for link in content.links)


def test_every_link_leads_to_a_page_and_a_place_in_it(site: Path, pages: dict[Path, Html]) -> None:
    dead = []
    for page, link in links(pages):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        file = (site / page).parent / unquote(parts.path) if parts.path else site / page
        target = Path(os.path.normpath(file)).relative_to(site)
        if target == Path():  # the logo leads to the folder
            target = Path("index.html")
        if target.suffix not in {".html", ""}:  # a file to be read or fetched as it is
            known = (site / target).is_file()
        else:
            known = target in pages and (
                not parts.fragment or parts.fragment in pages[target].anchors
            )
        if not known:
            dead.append(f"{page}: {link}")
    assert not dead


def test_links_to_elsewhere_are_encrypted(pages: dict[Path, Html]) -> None:
    elsewhere = {urlsplit(link).scheme for _, link in links(pages)} - {""}
    assert elsewhere == {"https"}


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Html]) -> None:
    for page, content in pages.items():
        for address in content.loaded:
            parts = urlsplit(address)
            assert not parts.scheme, f"{page} loads {address}"
            assert not parts.netloc, f"{page} loads {address}"
    styles = [style.read_text() for style in site.rglob("*.css")]
    assert styles
    assert not any("@import" in style or "url(http" in style for style in styles)


def test_every_page_is_in_the_menu(pages: dict[Path, Html]) -> None:
    linked = {Path(os.path.normpath(page.parent / link)) for page, link in links(pages)}
    assert set(pages) <= linked | {Path("index.html")}


RELATIVE = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", ["README.md", "charts/track-tree-audio/README.md", "CHANGELOG.md"])
def test_pages_outside_of_the_site_link_to_files_that_are_there(page: str) -> None:
    found = RELATIVE.findall((ROOT / page).read_text())
    assert found or page != "README.md"
    assert not [link for link in found if not ((ROOT / page).parent / link).exists()]


@pytest.mark.parametrize(
    "page", ["[gone](nowhere.md)", "[gone](index.md#nowhere)", "[gone](../nowhere.txt)"]
)
def test_a_dead_link_fails_the_build(tmp_path: Path, page: str) -> None:
    """The tests above mean something."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# Page\n\n{page}\n")
    loaded = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    changes = {"docs_dir": str(docs), "nav": None, "theme": "mkdocs"}
    config = tmp_path / "mkdocs.yml"
    hooks = [str(ROOT / hook) for hook in loaded["hooks"]]
    config.write_text(yaml.safe_dump({**loaded, **changes, "hooks": hooks}))
    built = build(tmp_path / "site", config)
    assert built.returncode != 0
    assert "nowhere" in built.stdout + built.stderr

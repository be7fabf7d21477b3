"""What `make docs` does to the pages on their way into the site.

The pages are written so that their links work where the code is read. Two kinds of them lead out of
this folder: to the chart's own page, which the site takes in, and to files of the code, which it
has not: of those the words stay.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown"]

ROOT = Path(__file__).parents[1]
CHART_README = ROOT / "charts" / "track-tree-audio" / "README.md"
CHART_PAGE = "chart.md"
LINK = re.compile(
    r"\[(?P<words>[^\]]*)\]\((?P<target>[^)#\s]*\.\./[^)#\s]*)(?P<anchor>#[^)\s]*)?\)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the chart's own page into the site."""
    files.append(File.generated(config, CHART_PAGE, abs_src_path=str(CHART_README)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose links lead to pages of the site, or are words where there is none.

    Raises:
        FileNotFoundError: a link leads to a file that the repository does not have.
    """
    from_chart = page.file.src_uri == CHART_PAGE
    source = CHART_README if from_chart else Path(config.docs_dir) / page.file.src_uri
    here = Path(config.docs_dir) / page.file.src_uri

    def lead(link: re.Match[str]) -> str:
        target = (source.parent / link["target"]).resolve()
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {link['target']}: no such file")
        if target == CHART_README:
            target = Path(config.docs_dir) / CHART_PAGE
        elif not (target.suffix == ".md" and target.is_relative_to(config.docs_dir)):
            return link["words"]
        way = os.path.relpath(target, here.parent)
        return f"[{link['words']}]({way}{link['anchor'] or ''})"

    return LINK.sub(lead, markdown)

"""Take the documents at the root of the repository into the site, and make links to them links within it."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
"""Documents at the root, and what they are called in the site."""

LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents at the root."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links lead to pages of the site; what is not in the site, such as source code, is named only."""
    at_root = page.file.src_uri in PAGES.values()
    folder = ROOT if at_root else Path(config.docs_dir, page.file.src_uri).parent

    def translated(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        if not at_root and not target.startswith("../"):
            return link[0]
        path = (folder / target).resolve()
        if path.parent == ROOT and path.name in PAGES:
            return f"[{words}]({PAGES[path.name]}{anchor})"
        if path.is_relative_to(config.docs_dir) and path.is_file():
            return f"[{words}]({path.relative_to(config.docs_dir).as_posix()}{anchor})"
        return words

    return PICTURE.sub(r"![\1](", LINK.sub(translated, markdown))

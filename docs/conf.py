"""How Sphinx builds the manual: Markdown pages, no network, nothing loaded from elsewhere when a page is read."""

import os
import re

from sphinx.application import Sphinx

project = "Reprotune"
project_copyright = "the Reprotune authors, Apache-2.0"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]

myst_heading_anchors = 4  # the same anchors that GitHub gives to headings

html_theme = "furo"
html_title = "Reprotune"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

OUTSIDE_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)\s]+)\)")
"""A link to a file of the repository that is not a page of the manual."""


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("source-read", link_sources)


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the pages that index.md links to into the sidebar, under its headings; the page stays plain Markdown."""
    if page != "index":
        return
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", source[0], re.DOTALL | re.MULTILINE):
        pages = dict.fromkeys(re.findall(r"\]\(([\w-]+)\.md\)", body))
        if pages:
            source[0] += "\n".join(["\n\n```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```\n"])


def link_sources(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links out of the manual lead to the repository; where its address is not known they become plain text."""
    repository, commit = os.environ.get("GITHUB_REPOSITORY"), os.environ.get("GITHUB_SHA")
    files = f"{os.environ.get('GITHUB_SERVER_URL')}/{repository}/blob/{commit}/"
    source[0] = OUTSIDE_LINK.sub(rf"[\1]({files}\2)" if repository and commit else r"\1", source[0])

"""How Sphinx builds the manual: Markdown pages, no network, nothing loaded from elsewhere when a page is read."""

import re

from sphinx.application import Sphinx

project = "Reprotune"
project_copyright = "the Reprotune authors, Apache-2.0"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]

myst_heading_anchors = 4  # the same anchors that GitHub gives to headings
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "Reprotune"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the pages that index.md links to into the sidebar, under its headings; the page stays plain Markdown."""
    if page != "index":
        return
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", source[0], re.DOTALL | re.MULTILINE):
        pages = dict.fromkeys(re.findall(r"\]\(([\w-]+)\.md\)", body))
        source[0] += "\n".join(["\n\n```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```\n"])


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)

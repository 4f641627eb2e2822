"""The Markdown pages of the repository, read the way that GitHub and the manual's site read them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
MANUAL = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""What users read; its examples run."""
PAGES = [*sorted(ROOT.glob("*.md")), *MANUAL[1:], ROOT / "benchmarks/README.md", *ROOT.glob("data/embedded/**/*.md")]
"""Every page whose links are checked."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_COMMENT = re.compile(r"<!-- (.+?) -->")
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
_SOURCE = re.compile(r"<(?:img|source)\s[^>]*?(?:src|srcset)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int
    """Line of the page on which the code begins, counted from 1."""
    language: str
    code: str
    remarks: tuple[str, ...]
    """The HTML comments directly before the block."""

    def remark(self, beginning: str) -> str | None:
        """Return what a comment says after `beginning`, e.g. the reason in `<!-- not run: reason -->`."""
        found = [text.removeprefix(beginning).strip() for text in self.remarks if text.startswith(beginning)]
        return found[0] if found else None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def code_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    blocks, remarks = [], []
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            remarks += _COMMENT.findall(token.content)
            continue
        if token.type == "fence" and token.map:
            blocks.append(Block(page, token.map[0] + 2, token.info.strip(), token.content, tuple(remarks)))
        remarks = []
    return blocks


def links(page: Path) -> Iterator[str]:
    """Yield the targets of all links and images."""
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type in ("html_block", "inline"):
            yield from _SOURCE.findall(token.content)
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if isinstance(target, str):
                yield target


def anchors(page: Path) -> set[str]:
    """Return what a link may point to on a page: its headings under the names that GitHub gives them, and `<a id>`."""
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    found = set(_ANCHOR.findall(page.read_text(encoding="utf-8")))
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in after.children or () if child.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found.add(next(option for option in (name, *(f"{name}-{n}" for n in range(1, 999))) if option not in found))
    return found

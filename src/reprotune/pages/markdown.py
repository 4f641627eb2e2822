"""Text that others wrote, in Markdown: as code, in which nothing is rendered and nobody is notified."""

import re

from reprotune.untrusted import clipped, visible

CELL_CHARS = 80


def code_span(text: str) -> str:
    """Return text as a code span that fits in a table: one line, clipped, without pipes."""
    text = clipped(visible(" ".join(text.split())).replace("|", "\N{BROKEN BAR}"), CELL_CHARS)
    if not text:
        return ""
    fence = "`" * (longest_run(text) + 1)
    return f"{fence} {text} {fence}"


def longest_run(text: str) -> int:
    """Return how many backticks a text has in a row at most."""
    return max((len(run) for run in re.findall("`+", text)), default=0)

"""Text that others wrote (datasets, models, params, Git), made safe to show."""

import unicodedata
from typing import Any

from markupsafe import Markup

JOINERS = "\u200c\u200d\u00ad"
HARMLESS = f"\n\t{JOINERS}"
"""Control and format characters that text needs: line breaks, tabs, joiners within words and emoji, soft hyphens."""


MARKS = ("Mn", "Me")
MOST_MARKS = 5
"""Accents on one letter; a pointed and chanted Hebrew letter has as many. Where there are more, they are drawn over the
lines above and below."""


def visible(value: Any) -> Any:
    """Return text with control and direction-changing characters and piled-up accents spelled out, e.g. `⟨U+202E⟩`.

    Markup of this package and values that are not text are returned unchanged.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or (value.isascii() and value.isprintable()):
        return value
    shown, marks = [], 0
    for character in value:
        kind = unicodedata.category(character)
        if kind in MARKS:
            marks += 1
        elif character not in JOINERS:  # between two accents they change nothing
            marks = 0
        hidden = kind in ("Cc", "Cf") and character not in HARMLESS
        piled_up = kind in MARKS and marks > MOST_MARKS
        shown.append(_spelled_out(character) if hidden or piled_up else character)
    return "".join(shown)


def clipped(text: str, limit: int) -> str:
    """Return text of at most `limit` characters; where some are cut off, the last one is an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _spelled_out(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"

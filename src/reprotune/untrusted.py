"""Text that others wrote (datasets, models, params, Git), made safe to show."""

import unicodedata
from typing import Any

from markupsafe import Markup

HARMLESS = "\n\t\u200c\u200d\u00ad"
"""Control and format characters that text needs: line breaks, tabs, joiners within words and emoji, soft hyphens."""


def visible(value: Any) -> Any:
    """Return text with control and direction-changing characters spelled out, e.g. `⟨U+202E⟩`.

    Markup of this package and values that are not text are returned unchanged.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(_spelled_out(character) if _is_hidden(character) else character for character in value)


def clipped(text: str, limit: int) -> str:
    """Return text of at most `limit` characters; where some are cut off, the last one is an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and character not in HARMLESS


def _spelled_out(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"

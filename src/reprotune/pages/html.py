"""A page of HTML without network, scripts of others or times, so a rerun gives the same bytes.

All text of users and models passes through Jinja's autoescape and `visible`; a content security policy that admits
the page's own script alone stands behind that.
"""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reprotune.results.words import points, quantity, signed
from reprotune.untrusted import clipped, visible

FOLDER = Path(__file__).parent
STYLE, SCRIPT, PARTS = "style.css", "script.js", "parts.html.jinja"
"""What all pages share; each page's own template lies beside the module that renders it."""

STATUS_WORDS = {
    "ok": "scored",
    "exact": "exact match",
    "empty": "empty answer",
    "refused": "judge refused",
    "unparsable": "no score in the reply",
    "truncated": "reply cut off",
    "error": "judge failed",
}
CHOICE_CHARS = 60
FINISH_WORDS = {"length": "stopped at the token limit", "no_room": "prompt fills the context"}
STATISTICS = {
    "exact_match": "exact match",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "token_f1": "token F1",
    "repetition": "repetition",
    "length_ratio": "length ratio",
}


def render_page(template_file: Path, **values: Any) -> str:
    """Render a page's template with `values` and the shared style, script and parts."""
    style, script = _own_file(STYLE), _own_file(SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment(template_file.parent).get_template(template_file.name)
    return template.render(style=style, script=script, script_hash=f"sha256-{digest}", parts_file=PARTS, **values)


def category_choices(categories: Iterable[str | None]) -> list[tuple[str, str]]:
    """Return the choices of a filter by category: (value, words), each category once, by name."""
    return [(name, clipped(name, CHOICE_CHARS)) for name in sorted({name for name in categories if name})]


def _own_file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704 - markup of this package, no user's text


def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quantity": quantity, "points": points, "signed": signed}
    environment.globals |= {"statistics": STATISTICS, "status_words": STATUS_WORDS, "finish_words": FINISH_WORDS}
    return environment

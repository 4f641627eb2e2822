"""HTML pages that need no network, no foreign script and no clock, so that a rerun gives the same bytes.

All text from users and models passes through Jinja's autoescape and `visible`; as a second line of defence, a content
security policy allows only the page's own script.
"""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reprotune.artifacts import NO_CATEGORY, SPLITS, STATISTICS
from reprotune.results.words import FINISH_WORDS, STATISTIC_WORDS, STATUS_WORDS, counted, points, quantity, signed
from reprotune.untrusted import clipped, visible

FOLDER = Path(__file__).parent
STYLE, SCRIPT, PARTS = "style.css", "script.js", "parts.html.jinja"
"""Shared by all pages; the template of each page is next to the module that renders it."""

CHOICE_CHARS = 60


def render_page(template_file: Path, script_file: Path = FOLDER / SCRIPT, **values: Any) -> str:
    """Render a page's template with `values`, the shared style and parts, and a script: by default the shared one."""
    style, script = _own_file(FOLDER / STYLE), _own_file(script_file)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment(template_file.parent).get_template(template_file.name)
    return template.render(style=style, script=script, script_hash=f"sha256-{digest}", parts_file=PARTS, **values)


def category_choices(categories: Iterable[str | None]) -> list[tuple[str, str]]:
    """Return the choices of a filter by category as (value, words): each category once, sorted, then rows without one.

    There are no choices if no row has a category.
    """
    found = {name or "" for name in categories}
    named = [(name, clipped(name, CHOICE_CHARS)) for name in sorted(found - {""})]
    return [*named, ("", NO_CATEGORY)] if named and "" in found else named


def _own_file(path: Path) -> Markup:
    return Markup(path.read_text(encoding="utf-8"))  # noqa: S704 - this package's own markup


def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "quantity": quantity, "points": points, "signed": signed}
    environment.globals |= {
        "splits": SPLITS,
        "statistics": {name: STATISTIC_WORDS[name] for name in STATISTICS},
        "status_words": STATUS_WORDS,
        "finish_words": FINISH_WORDS,
    }
    return environment

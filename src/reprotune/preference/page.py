"""The page of a ballot: one HTML file that needs nothing else, and from which nobody can tell whose an answer is.

It holds ids, prompts and answers, no names and no controls. The evidence so far would need the key, and whoever watched
it move would learn which of the two answers just seen belongs to the model in the lead. So the page shows the bound
itself, which follows from the number of votes alone: how many of so many decisive votes one model needs. Whether it has
them, `reprotune votes` says, which has the key.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from reprotune.preference.ballot import Pair
from reprotune.statistics.sequential import STOP
from reprotune.untrusted import visible

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "ballot.html.jinja", "ballot.css", "ballot.js"

TYPICAL = {60: 203, 70: 45, 80: 19}
"""Percent of the decisive votes that go to one model -> decisive votes after which half of all such ballots stop."""


def ballot_page(pairs: Sequence[Pair], ballot_sha256: str) -> str:
    """Return the page that shows the pairs with a place, in that order; `ballot_sha256` is that of the key's file."""
    script = _own_file(SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shown = sorted((pair for pair in pairs if pair["place"] is not None), key=lambda pair: pair["place"])
    comparisons = {frozenset((pair["left_model"], pair["right_model"])) for pair in shown if pair["control"] is None}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        ballot=ballot_sha256,
        pairs=[{key: pair[key] for key in ("pair_id", "prompt", "left_text", "right_text")} for pair in shown],
        comparisons=len(comparisons),
        stop=int(STOP),
        typical=TYPICAL,
        style=_own_file(STYLE),
        script=script,
        script_hash=f"sha256-{digest}",
    )


def _own_file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704 - this package's own markup

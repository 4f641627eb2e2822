"""The words of a comparison, as each medium shows them."""

import html
import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from reprotune.compare.comparison import compare
from reprotune.compare.markdown import comparison_markdown
from reprotune.compare.page import comparison_page
from reprotune.compare.snapshot import Snapshot
from reprotune.compare.terminal import print_comparison
from reprotune.compare.words import headline, view_of

Pair = tuple[Snapshot, Snapshot]


@pytest.mark.parametrize("stale", [(0,), (1,), (0, 1)])
def test_that_results_are_stale_is_said_before_any_figure(snapshots: Pair, stale: tuple[int, ...]) -> None:
    sides = [
        replace(side, stale=["a.b: old -> new"]) if place in stale else side for place, side in enumerate(snapshots)
    ]
    comparison = compare(*sides)
    console = Console(width=200, record=True, file=StringIO())
    print_comparison(comparison, console)
    page = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", comparison_page(comparison), flags=re.DOTALL))
    titles = " and ".join(sides[place].title for place in stale)
    finding = headline(comparison)[1]
    assert finding.startswith("The fine-tuned model is better: ")
    for text in (console.export_text(), html.unescape(comparison_markdown(comparison)), page):
        words = " ".join(text.split())
        first = words.index(f"Stale: the results of {titles} are not those of the params, code and data there")
        before = words[:first].replace(sides[0].title, "")
        assert not re.search(r"\d", before), "no figure stands before it"
        assert first < words.index("a.b: old -> new") < words.index(finding)
    assert view_of(comparison).kind == "noise", "not in the colour of a verdict"

"""The page of `dvc plots` draws every plot without a network."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.clone import Clone

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


def test_every_plot_of_two_revisions_is_drawn_from_the_page_alone(
    clone: Clone, chromium_dom: Callable[[Path, int], str]
) -> None:
    for name, line in (
        ("scores", "90-100,0,7"),
        ("length", "3,50.00"),
        ("categories", "&amp;,4,10,60,0,0.5"),
        ("subjects", "other,4,0.25,0.05,0.7,0.5,0.15,0.85"),
    ):
        clone.edit(f"metrics/plots/{name}.csv", lambda text, line=line: f"{text}{line}\n")
    clone.edit("metrics/plots/loss.csv", lambda text: text.replace("0,0,,", "0,0,,1"))
    clone.run("dvc", "plots", "diff", "HEAD", "--out", "plots")
    page = clone.root / "plots/index.html"
    assert not re.search(r"(src|href)\s*=", page.read_text(encoding="utf-8"))
    dom = chromium_dom(page, 900)
    drawn = [plot.partition("<details")[0] for plot in dom.split("<h2>")[1:]]
    assert len(drawn) == 5
    marks = sorted(mark for plot in drawn for mark in ("polyline", "rect", "circle") if f"<{mark} " in plot)
    assert marks == ["circle", "circle", "polyline", "rect", "rect", "rect"], "a curve, dots, bars three times"
    for plot in drawn:
        colours = set(re.findall(r'(?:fill|stroke)="(#\w{6})"', plot))
        assert colours == {"#945dd6", "#13adc7"}, "a colour for each revision"
    assert "<td>&amp;amp;</td>" in dom

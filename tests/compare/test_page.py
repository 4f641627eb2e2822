"""The page of a comparison: complete, inert whatever the answers contain, usable in a real browser."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reprotune.compare.comparison import Comparison, compare
from reprotune.compare.page import comparison_page, loss_overlay
from reprotune.compare.snapshot import Snapshot

Browser = Callable[[Path, int], str]


@pytest.fixture
def comparison(snapshots: tuple[Snapshot, Snapshot]) -> Comparison:
    return compare(*snapshots)


@pytest.fixture
def page(comparison: Comparison) -> str:
    return comparison_page(comparison)


def test_hostile_text_becomes_no_element_and_no_attribute(page: str, check_inert: Callable[[str], None]) -> None:
    check_inert(page)
    assert "{{ 7 * 7 }}" in page
    assert "⟨U+202E⟩" in page


def test_shows_what_changed(page: str) -> None:
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    for expected in (
        "The fine-tuned model is better",
        "main (1a2b3c4d)",
        "finetune.epochs 2 5",
        "Only in the first: 1",
        "Moved between splits: 1 (1 from train to validation)",
        "A much better answer to task 25.",
        "nearly as wanted.",
    ):
        assert expected in text, expected
    assert page.count("<li data-place=") == 59


def test_a_rerun_gives_the_same_bytes(comparison: Comparison, page: str) -> None:
    assert comparison_page(comparison) == page


def test_both_runs_lie_on_the_same_axes(comparison: Comparison) -> None:
    overlay = loss_overlay(comparison.before, comparison.after)
    curves = dict(overlay.curves)
    heights = {kind: [float(point.split(",")[1]) for point in curve.split()] for kind, curve in curves.items()}
    assert list(curves) == ["train before", "train after"]
    # the second run's losses are the lower ones, so its curve lies further down the page
    pairs = zip(heights["train before"], heights["train after"], strict=True)
    assert all(before < after for before, after in pairs)
    assert [dot.kind for dot in overlay.dots] == ["before"] * 3 + ["after"] * 3


@pytest.mark.slow
def test_in_a_browser_only_the_page_s_own_script_runs(page: str, tmp_path: Path, chromium_dom: Browser) -> None:
    path = tmp_path / "compare.html"
    path.write_text(page, encoding="utf-8")
    dom = chromium_dom(path, 1280)
    assert "<title>Reprotune comparison</title>" in dom
    assert '<output id="count">59 rows</output>' in dom


@pytest.mark.slow
def test_in_a_browser_rows_can_be_searched_filtered_and_ordered(
    page: str, comparison: Comparison, tmp_path: Path, chromium_dom: Browser
) -> None:
    acts = """<script>
      const kind = filters.find((select) => select.dataset.filter === "kind");
      kind.value = "=score up"; kind.dispatchEvent(new Event("change"));
      const filtered = count.textContent;
      search.value = "much BETTER"; search.dispatchEvent(new Event("input"));
      order.value = "change up"; order.dispatchEvent(new Event("change"));
      document.title = [filtered, count.textContent, list.firstElementChild.dataset.number].join("/");
    </script></body>"""
    path = tmp_path / "acted.html"
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>\n</html>", acts), encoding="utf-8")
    dom = chromium_dom(path, 1280)
    up = sum(pair.kind == "score up" for pair in comparison.rows)
    worst = min(comparison.rows, key=lambda pair: (pair.change or 0.0, pair.after.number))
    assert f"<title>{up} of 59 rows/{up} of 59 rows/{worst.after.number}</title>" in dom


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_in_a_browser_nothing_is_wider_than_the_window(
    page: str, width: int, width_in_frame: Callable[[str, int], int]
) -> None:
    opened = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("<details>", "<details open>")
    assert width_in_frame(opened, width) <= width

"""Comparing two revisions: paired metrics, flips, categories, data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from reprotune.compare.comparison import FLIP_POINTS, Comparison, compare
from reprotune.compare.snapshot import Snapshot
from reprotune.compare.words import headline, notes, view_of
from reprotune.params.differences import param_changes

Pair = tuple[Snapshot, Snapshot]


@pytest.fixture
def comparison(snapshots: Pair) -> Comparison:
    return compare(*snapshots)


def with_method(snapshot: Snapshot, method: str) -> Snapshot:
    return replace(snapshot, results=replace(snapshot.results, judged={**snapshot.results.judged, "method": method}))


def test_scores_are_paired_by_row(comparison: Comparison, snapshots: Pair) -> None:
    before, after = (snapshot.rows for snapshot in snapshots)
    differences = [after[key].finetuned.score - before[key].finetuned.score for key in after]  # type: ignore[operator]  # all scored
    change = comparison.paired["finetuned.score"]
    assert change.n == 59
    assert change.difference == pytest.approx(np.mean(differences))
    assert change.ci95_low is not None
    assert change.ci95_high is not None
    assert change.ci95_low < np.mean(differences) < change.ci95_high
    assert (comparison.only_before, comparison.only_after) == (1, 0)
    assert change.verdict == "better"
    assert comparison.paired["base.score"].verdict == "unchanged"


def with_scores(snapshot: Snapshot, score: Callable[[int], float], rows: int, kinds: int | None = None) -> Snapshot:
    """Give every one of `rows` test rows a score by its place; `kinds` categories in turn, if any."""
    kept = [
        replace(row, category=kinds and f"kind {place % kinds}", finetuned=replace(row.finetuned, score=score(place)))
        for place, row in enumerate(snapshot.results.rows[:rows])
    ]
    return replace(snapshot, results=replace(snapshot.results, rows=kept))


def test_rows_of_one_category_that_move_together_are_not_much_evidence(snapshots: Pair) -> None:
    shift = [14.0, -9.0, 13.0, -8.0, 14.0, 12.0, -7.0, 11.0, -8.0, 9.0]
    before = with_scores(snapshots[0], lambda _: 50.0, 60, 10)
    after = with_scores(snapshots[0], lambda place: 50.0 + shift[place % 10], 60, 10)
    alone = compare(with_scores(before, lambda _: 50.0, 60), with_scores(after, lambda p: 50.0 + shift[p % 10], 60))
    together = compare(before, after)
    assert alone.paired["finetuned.score"].p_value == together.paired["finetuned.score"].p_value
    wide, narrow = (found.paired["finetuned.score"] for found in (together, alone))
    assert wide.ci95_low is not None and narrow.ci95_low is not None and wide.ci95_low < narrow.ci95_low
    assert wide.verdict == "within noise"
    assert any("clustered by category" in note for note in notes(together))


def test_flips_are_exact_answers_gained_or_lost_and_large_changes(comparison: Comparison, snapshots: Pair) -> None:
    before, after = snapshots
    for pair in comparison.rows:
        exact = [s.statistics["finetuned", pair.after.id]["exact_match"] == 1.0 for s in (before, after)]
        assert pair.change is not None
        assert pair.flipped == (exact[0] != exact[1] or abs(pair.change) > FLIP_POINTS)
    kinds = [pair.kind for pair in comparison.rows]
    assert kinds[0] == "score down"
    assert kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)  # kind by kind
    assert compare(before, after, flip_points=100).flips == [p for p in comparison.flips if "exact" in p.kind]


def test_categories_cover_the_shared_rows(comparison: Comparison) -> None:
    assert sum(change.rows for change in comparison.categories) == 59
    arithmetic = next(change for change in comparison.categories if change.name == "arithmetic")
    assert arithmetic.exact_after > arithmetic.exact_before == 0


def test_scores_of_different_methods_are_not_compared(snapshots: Pair) -> None:
    comparison = compare(snapshots[0], with_method(snapshots[1], "ollama:llama3:reference"))
    assert headline(comparison)[1].startswith("Scores cannot be compared")
    assert not any(key.endswith(".score") for key in comparison.paired)
    assert "finetuned.chrf" in comparison.paired
    assert comparison.categories == []
    assert {pair.kind for pair in comparison.flips} == {"newly exact"}


def test_no_rows_in_common(snapshots: Pair) -> None:
    before, after = snapshots
    comparison = compare(before, replace(after, results=replace(after.results, rows=[])))
    assert headline(comparison)[1].startswith("Scores cannot be compared: no test row")
    assert comparison.only_before == 60


def test_results_of_other_params_are_called_stale(snapshots: Pair) -> None:
    before, after = snapshots
    stale = replace(after, stale=["a.b: 1 -> 2"])
    view = view_of(compare(before, stale))
    assert any("a.b: 1 -> 2" in note and "workspace" in note for note in view.notes)


def test_params_differ_by_value_and_kind() -> None:
    old = {"a": {"x": 1, "y": 1e-3, "z": True, "gone": None}, "same": 5}
    new = {"a": {"x": 1.0, "y": 0.002, "z": 1, "new": "text"}, "same": 5}
    assert [str(change) for change in param_changes(old, new)] == [
        "a.y: 0.001 -> 0.002",
        "a.z: true -> 1",
        "a.new: (absent) -> text",
        "a.gone: null -> (absent)",
    ]

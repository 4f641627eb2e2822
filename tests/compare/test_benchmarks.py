"""Benchmarks and retention of two revisions: paired by item and document, and never across different ones."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprotune.compare.comparison import compare
from reprotune.compare.gate import Outcome, Rules, check_changes, check_limits, check_names
from reprotune.compare.markdown import comparison_markdown
from reprotune.compare.snapshot import Snapshot, load_snapshot
from reprotune.compare.words import view_of
from reprotune.multiple_choice.figures.measured import FILES, NOTHING, Asked, Measured
from reprotune.statistics.matched import MatchedTest

Pair = tuple[Snapshot, Snapshot]
ACCURACY = "exam.cloze_0shot_plain.finetuned.accuracy"
LOSS = "retention.finetuned.bits_per_byte"


def with_measured(snapshot: Snapshot, measured: Measured) -> Snapshot:
    return replace(snapshot, results=replace(snapshot.results, measured=measured))


def with_asked(snapshot: Snapshot, change: Callable[[int, Asked], Asked | None], name: str = "") -> Snapshot:
    """Change or leave out the items of both models, or name the formulation otherwise."""
    measured = snapshot.results.measured
    asked = {
        name or formulation: {
            model: [new for place, row in enumerate(rows) if (new := change(place, row)) is not None]
            for model, rows in models.items()
        }
        for formulation, models in measured.asked.items()
    }
    return with_measured(snapshot, replace(measured, asked=asked))


def outcome(snapshots: Pair, metric: str, better: str = "higher", tolerance: float = 3.0, **more: Any) -> Outcome:
    rule = {"metric": metric, "better": better, "tolerance": tolerance, **more}
    (found,) = check_changes(Rules.parse("", {"changes": [rule], "limits": []}, Path("gate.yaml")), compare(*snapshots))
    return found


def test_right_answers_are_compared_item_by_item(snapshots: Pair) -> None:
    comparison = compare(*snapshots)
    old, new = (side.results.measured.asked["cloze_0shot_plain"]["finetuned"] for side in snapshots)
    change = comparison.benchmarks[ACCURACY]
    assert isinstance(change.test, MatchedTest)
    assert change.test.lost == sum(one.right and not other.right for one, other in zip(old, new, strict=True)) > 0
    assert change.test.verdict == "worse"
    base = comparison.benchmarks["exam.cloze_0shot_plain.base.accuracy"].test
    assert base is not None and base.verdict == "unchanged"
    assert list(comparison.benchmarks)[-2:] == [LOSS, "retention.base.bits_per_byte"]


def test_every_report_shows_them(snapshots: Pair) -> None:
    view = view_of(compare(*snapshots))
    rows = dict(view.benchmarks.rows)
    assert rows["exam, cloze_0shot_plain, %"][3] == "worse"
    assert rows["exam, cloze_0shot_plain of the base model, %"][3:5] == ["unchanged", "–"]
    assert len(rows["Retention, bits per byte"][0].partition(".")[2]) == 4
    assert "` exam, cloze_0shot_plain, % `" in comparison_markdown(compare(*snapshots))


def test_a_revision_without_any_is_one_sentence(snapshots: Pair) -> None:
    before, after = with_measured(snapshots[0], NOTHING), snapshots[1]
    view = view_of(compare(before, after))
    assert view.benchmarks.rows == []
    assert "exam, cloze_0shot_plain: main (1a2b3c4d) has none." in view.notes
    assert view.notes.count("Retention: main (1a2b3c4d) has none.") == 1
    for metric in (
        ACCURACY,
        LOSS,
        "exam.cloze_0shot_plain.finetuned.macro_accuracy",
        "retention.difference.bits_per_byte",
    ):
        found = outcome((before, after), metric)
        assert (found.state, found.found, found.fails) == ("mismatched", "main (1a2b3c4d) has none", True)
    neither = compare(before, with_measured(after, NOTHING))
    assert neither.benchmarks == {} and not any("exam" in note for note in view_of(neither).notes)


def test_runs_of_earlier_versions_have_none(tmp_path: Path, snapshots: Pair) -> None:
    data = tmp_path / "before"  # where the builder put the first of the two
    shutil.rmtree(data / "benchmark")
    shutil.rmtree(data / "benchmarked")
    assert load_snapshot(data, "old", snapshots[0].params, []).results.measured == NOTHING


def test_another_formulation_is_another_metric(snapshots: Pair) -> None:
    after = with_asked(snapshots[1], lambda _, row: row, "letters_0shot_plain")
    assert outcome((snapshots[0], after), "exam.letters_0shot_plain.finetuned.accuracy").state == "mismatched"
    assert outcome((snapshots[0], after), ACCURACY).found == "workspace has none"


def test_other_items_are_mismatched_but_shown(snapshots: Pair) -> None:
    after = with_asked(snapshots[1], lambda place, row: row if place >= 20 else None)
    found = outcome((snapshots[0], after), ACCURACY)
    assert (found.state, found.found) == ("mismatched", "measured on different items (180 and 160, 160 in both)")
    comparison = compare(snapshots[0], after)
    test = comparison.benchmarks[ACCURACY].test
    assert test is not None and test.n == 160
    assert any(
        "180 and 160, 160 in both): only what both have is compared." in note for note in view_of(comparison).notes
    )


def test_other_prompts_are_mismatched_but_within_the_template(snapshots: Pair) -> None:
    def otherwise(place: int, row: Asked) -> Asked:
        return replace(row, prompt_sha256="f" * 64) if place < 30 else row

    found = outcome((snapshots[0], with_asked(snapshots[1], otherwise)), ACCURACY)
    assert found.found == "30 of 180 items were asked with another prompt"
    macro = outcome((snapshots[0], with_asked(snapshots[1], otherwise)), ACCURACY.replace("accuracy", "macro_accuracy"))
    assert (macro.state, macro.found) == ("mismatched", found.found)
    template = "cloze_0shot_template"
    sides = with_asked(snapshots[0], lambda _, row: row, template), with_asked(snapshots[1], otherwise, template)
    assert outcome(sides, f"exam.{template}.finetuned.accuracy").state == "broken"


def test_another_text_is_mismatched(snapshots: Pair) -> None:
    measured = snapshots[1].results.measured
    shorter = {model: texts[5:] for model, texts in measured.texts.items()}
    found = outcome((snapshots[0], with_measured(snapshots[1], replace(measured, texts=shorter))), LOSS, "lower")
    assert (found.state, found.found) == ("mismatched", "measured on different documents (40 and 35, 35 in both)")


def test_the_rule_says_which_way_is_better(snapshots: Pair) -> None:
    before, after = snapshots
    assert outcome((before, after), ACCURACY).state == "broken"
    assert outcome((after, before), ACCURACY).state == "kept"
    measured = before.results.measured
    worse = [replace(text, nats=text.nats * 1.1) for text in measured.texts["finetuned"]]
    forgot = with_measured(before, replace(measured, texts={**measured.texts, "finetuned": worse}))
    found = outcome((before, forgot), LOSS, "lower", 0.01)
    assert found.state == "broken"
    assert "on 40 shared rows, 95 % interval +0." in found.found and "->" in found.found
    assert outcome((forgot, before), LOSS, "lower", 0.01).state == "kept"
    change = compare(before, forgot).benchmarks[LOSS].test
    assert change is not None and change.verdict == "worse"


def test_the_same_files_are_the_same_however_few(snapshots: Pair) -> None:
    few = with_asked(snapshots[0], lambda place, row: row if place < 3 else None)
    assert outcome((few, few), ACCURACY, tolerance=0).state == "too few"
    same = replace(few, hashes=dict.fromkeys(FILES, "1a2b"))
    assert outcome((same, same), ACCURACY, tolerance=0).state == "kept"


def test_limits_name_any_figure(snapshots: Pair) -> None:
    limits = [
        {"metric": ACCURACY, "at_least": 0.5},
        {"metric": LOSS, "at_most": 0.1},
        {"metric": "exam.cloze_0shot_plain.trivial.best_constant", "at_most": 0.5},
    ]
    rules = Rules.parse("", {"changes": [], "limits": limits}, Path("gate.yaml"))
    check_names(rules, snapshots[0])
    assert [found.state for found in check_limits(rules, snapshots[0])] == ["kept", "broken", "kept"]


@pytest.mark.parametrize(
    "metric", ["exam.cloze_0shot_plain.finetuned.macro_accuracy", "retention.difference.bits_per_byte"]
)
def test_numbers_without_rows_are_compared_by_tolerance(snapshots: Pair, metric: str) -> None:
    assert outcome((snapshots[0], snapshots[0]), metric, tolerance=0).state == "kept"

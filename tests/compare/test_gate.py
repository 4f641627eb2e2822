"""The gate: typed rules, and a verdict on each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprotune.compare.comparison import compare
from reprotune.compare.gate import Outcome, check_changes, check_limits, check_names, check_stale, failures, read_rules
from reprotune.compare.snapshot import RESULTS, Snapshot
from reprotune.compare.words import notes
from reprotune.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
Pair = tuple[Snapshot, Snapshot]


def rules_file(folder: Path, changes: str = "[]", limits: str = "[]") -> Path:
    path = folder / "gate.yaml"
    path.write_text(f"changes: {changes}\nlimits: {limits}\n")
    return path


def change_rule(folder: Path, **values: Any) -> Any:
    rule = {"metric": "finetuned.score", "better": "higher", "tolerance": 4.0} | values
    text = ", ".join(f"{key}: {value}" for key, value in rule.items())
    return read_rules(rules_file(folder, changes=f"[{{{text}}}]"))


def outcome(rules: Any, snapshots: Pair) -> Outcome:
    (found,) = check_changes(rules, compare(*snapshots))
    return found


def with_scores(snapshot: Snapshot, scores: list[float], category: str | None = None) -> Snapshot:
    """Keep as many test rows as there are scores."""
    rows = zip(snapshot.results.rows, scores, strict=False)
    kept = [replace(row, category=category, finetuned=replace(row.finetuned, score=score)) for row, score in rows]
    return replace(snapshot, results=replace(snapshot.results, rows=kept))


def with_method(snapshot: Snapshot, method: str = "another") -> Snapshot:
    return replace(snapshot, results=replace(snapshot.results, judged={**snapshot.results.judged, "method": method}))


def with_hashes(snapshot: Snapshot, **names: str) -> Snapshot:
    """Give the files in data/tokens a hash in dvc.lock, and the results one that differs by snapshot."""
    return replace(snapshot, hashes={f"data/tokens/{name}.parquet": md5 for name, md5 in names.items()})


def test_the_shipped_rules_can_be_checked(snapshots: Pair) -> None:
    rules = read_rules(ROOT / "gate.yaml")
    outcomes = [*check_changes(rules, compare(*snapshots)), *check_limits(rules, snapshots[1])]
    # the rows of validation are not the same in this change
    assert [outcome.state for outcome in outcomes] == ["kept", "mismatched", "kept", "kept"]
    assert {outcome.state for outcome in check_changes(rules, None)} == {"not checked"}
    check_names(rules, snapshots[1])


def test_a_misspelt_rule_is_an_error_even_where_it_is_not_checked(snapshots: Pair, tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("changes:\n  - metric: finetuned.coverag\n    better: higher\n    tolerance: 0\nlimits: []\n")
    with pytest.raises(UserError, match=r"has no metric finetuned\.coverag: choose one of finetuned\.coverage"):
        check_names(read_rules(path), snapshots[1])


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        ([100.0] * 4, [0.0] * 4, "too few"),
        ([100.0] * 4, [100.0] * 4, "too few"),
        ([100.0] * 30, [0.0] * 30, "broken"),
        ([50.0] * 60, [51.0, 52.0] * 30, "kept"),
        ([50.0] * 60, [46.0, 48.0] * 30, "too few"),
        ([50.0] * 60, [46.0, 34.0] * 30, "broken"),
        ([50.0] * 60, [80.0, 20.0] * 30, "too few"),
        ([], [], "too few"),
    ],
)
def test_a_rule_is_kept_only_if_a_loss_is_excluded(
    before: list[float], after: list[float], state: str, snapshots: Pair, tmp_path: Path
) -> None:
    sides = with_scores(snapshots[0], before), with_scores(snapshots[0], after)
    found = outcome(change_rule(tmp_path), sides)
    assert (found.state, found.fails) == (state, state != "kept")
    allowed = outcome(change_rule(tmp_path, when_unknown="pass"), sides)
    assert (allowed.state, allowed.fails) == (state, state == "broken")
    lower = outcome(change_rule(tmp_path, better="lower"), (sides[1], sides[0]))
    assert lower.state == state


def test_the_same_files_are_the_same_results_however_few(snapshots: Pair, tmp_path: Path) -> None:
    side = replace(with_scores(snapshots[0], [100.0] * 4), hashes=dict.fromkeys(RESULTS, "1a2b"))
    assert outcome(change_rule(tmp_path), (side, side)).state == "kept"
    unknown = replace(side, hashes={})
    assert outcome(change_rule(tmp_path), (unknown, unknown)).state == "too few"


def test_the_direction_and_the_tolerance_count(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots  # the second is better by about 7 points, p about 0.005
    assert outcome(change_rule(tmp_path), (before, after)).state == "kept"
    assert outcome(change_rule(tmp_path), (after, before)).state == "broken"
    assert outcome(change_rule(tmp_path, tolerance=20), (after, before)).state == "kept"
    assert outcome(change_rule(tmp_path, better="lower"), (before, after)).state == "broken"


@pytest.mark.parametrize(
    "metric", ["finetuned.score", "base.score", "difference.score", "finetuned.coverage", "pairwise.win_rate"]
)
def test_no_metric_of_another_judge_is_compared(metric: str, snapshots: Pair, tmp_path: Path) -> None:
    sides = snapshots[0], with_method(snapshots[0])
    found = outcome(change_rule(tmp_path, metric=metric, tolerance=100), sides)
    assert (found.state, found.fails) == ("mismatched", True)
    assert "different methods (offline_composite, another)" in found.found
    assert outcome(change_rule(tmp_path, metric="finetuned.chrf", tolerance=100), sides).state == "kept"
    assert outcome(change_rule(tmp_path, metric="finetuned.repetition", tolerance=100), sides).state == "kept"


def test_numbers_without_rows_are_compared_by_tolerance(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots[0], snapshots[0]
    best = {**after.results.training["best"], "validation_loss": 1.5}
    worse = replace(after, results=replace(after.results, training={**after.results.training, "best": best}))
    loss = {"metric": "training.best.validation_loss", "better": "lower"}
    assert outcome(change_rule(tmp_path, tolerance=0.2, **loss), (before, worse)).state == "kept"
    assert outcome(change_rule(tmp_path, tolerance=0.1, **loss), (before, worse)).state == "broken"


@pytest.mark.parametrize("section", [{"finetune": {"mask_instruction": False}}, {"format": {"template": "phi3"}}])
def test_losses_over_different_tokens_are_not_compared(
    section: dict[str, Any], snapshots: Pair, tmp_path: Path
) -> None:
    before = snapshots[0]
    params = {**before.params, **{name: {**before.params[name], **new} for name, new in section.items()}}
    other = replace(before, params=params)
    loss = {"metric": "training.best.validation_loss", "better": "lower", "tolerance": 100}
    found = outcome(change_rule(tmp_path, **loss), (before, other))
    assert found.state == "mismatched" and "different tokens" in found.found
    assert any("cannot be compared" in note for note in notes(compare(before, other)))


def test_the_hash_of_the_tokens_decides_whether_losses_are_comparable(snapshots: Pair, tmp_path: Path) -> None:
    before = snapshots[0]
    phi3 = replace(before, params={**before.params, "format": {**before.params["format"], "template": "phi3"}})
    loss = {"metric": "training.best.validation_loss", "better": "lower", "tolerance": 100}
    train = loss | {"metric": "training.final.train_loss"}
    same = with_hashes(before, validation="aa", train="bb"), with_hashes(phi3, validation="aa", train="cc")
    assert outcome(change_rule(tmp_path, **loss), same).state == "kept"  # the param changed nothing
    assert outcome(change_rule(tmp_path, **train), same).state == "mismatched"
    other = with_hashes(before, validation="aa"), with_hashes(before, validation="dd")
    assert outcome(change_rule(tmp_path, **loss), other).state == "mismatched"
    masks = {**before.params, "finetune": {**before.params["finetune"], "mask_instruction": False}}
    masked = with_hashes(before, validation="aa"), with_hashes(replace(before, params=masks), validation="aa")
    assert outcome(change_rule(tmp_path, **loss), masked).state == "mismatched"


def test_a_single_category_can_break_a_rule(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots
    rule = change_rule(tmp_path, category="arithmetic", tolerance=10)
    assert outcome(rule, (before, after)).state in ("kept", "too few")
    bad = [
        replace(row, finetuned=replace(row.finetuned, score=0.0)) if row.category == "arithmetic" else row
        for row in before.results.rows
    ]
    worse = replace(before, results=replace(before.results, rows=bad))
    assert outcome(rule, (before, worse)).state == "broken"
    assert outcome(change_rule(tmp_path, category="spelling", tolerance=10), (before, worse)).state == "too few"
    every = outcome(change_rule(tmp_path, per_category="true", tolerance=10), (before, worse))
    assert every.state == "broken"
    assert "1 broken" in every.found and "arithmetic −" in every.found
    null = outcome(change_rule(tmp_path, per_category="true", when_unknown="pass"), (before, before))
    assert (null.state, null.fails) == ("too few", False)
    with pytest.raises(UserError, match="has the category nope: choose one of"):
        outcome(change_rule(tmp_path, category="nope"), (before, before))


def test_many_categories_are_not_broken_by_chance(snapshots: Pair, tmp_path: Path) -> None:
    # 6 of 10 categories lose on 6 rows each: p = 0.03 for each alone, 0.3 by Holm
    scores = [90.0 if place < 36 else 50.0 for place in range(60)]
    sides = [
        replace(
            side,
            results=replace(
                side.results,
                rows=[replace(row, category=str(place // 6)) for place, row in enumerate(side.results.rows)],
            ),
        )
        for side in (with_scores(snapshots[0], scores), with_scores(snapshots[0], [50.0] * 36 + [50.0] * 24))
    ]
    single = sides[0], sides[1]
    assert outcome(change_rule(tmp_path, category="'0'"), single).state != "kept"
    assert outcome(change_rule(tmp_path, per_category="true"), single).state == "too few"


def test_stale_results_fail_the_gate(snapshots: Pair) -> None:
    stale = replace(snapshots[1], stale=["src/a.py: changed", "x: 1 -> 2", "y: 1 -> 2", "z: 1 -> 2", "w: 1 -> 2"])
    (found,) = check_stale([snapshots[0], stale])
    assert (found.metric, found.state, found.fails) == ("workspace", "stale", True)
    assert found.found == "src/a.py: changed; x: 1 -> 2; y: 1 -> 2; and 2 more"


def test_every_failure_has_its_sentence() -> None:
    outcomes = [Outcome("m", "r", "f", state) for state in ("kept", "broken", "too few", "mismatched", "stale")]
    said = failures([*outcomes, Outcome("m", "r", "f", "too few", allowed=True)])
    assert len(said) == 4
    assert said[0] == "1 of 6 rules are broken"
    assert "when_unknown: pass" in said[1]
    assert "cannot be compared" in said[2]
    assert "`dvc repro`" in said[3]
    assert failures([Outcome("m", "r", "f", "kept"), Outcome("m", "r", "f", "not checked")]) == []


def test_limits(snapshots: Pair, tmp_path: Path) -> None:
    limits = "[{metric: finetuned.coverage, at_least: 0.95}, {metric: finetuned.score, at_least: 0, at_most: 10}]"
    outcomes = check_limits(read_rules(rules_file(tmp_path, limits=limits)), snapshots[0])
    assert [outcome.state for outcome in outcomes] == ["kept", "broken"]


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ("[{metric: a}]", "[]", "changes.0.tolerance"),
        ("[]", "[{metric: a}]", "at_least"),
        ("[]", "[{metric: a, at_least: 1, at_mots: 2}]", "at_mots"),
        ("[{metric: a, better: up, tolerance: 1}]", "[]", "higher"),
        ("[{metric: a, better: lower, tolerance: -1}]", "[]", "tolerance"),
        ("[{metric: a, better: lower, tolerance: 1, significance: null}]", "[]", "significance is gone: remove it"),
        ("[{metric: base.score, better: lower, tolerance: 1, category: a, per_category: true}]", "[]", "not both"),
        ("[{metric: training.steps, better: lower, tolerance: 1, category: a}]", "[]", "value per row"),
        ("", "[]", "changes"),
    ],
)
def test_faulty_rules_are_one_sentence(tmp_path: Path, changes: str, limits: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_rules(rules_file(tmp_path, changes, limits))


def test_unknown_metrics_are_refused(snapshots: Pair, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no metric finetuned\.nope: choose one of"):
        check_limits(read_rules(rules_file(tmp_path, limits="[{metric: finetuned.nope, at_least: 1}]")), snapshots[0])
    with pytest.raises(UserError, match=r"no metric finetuned\.nope"):
        outcome(change_rule(tmp_path, metric="finetuned.nope"), snapshots)

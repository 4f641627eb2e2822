"""The gate: typed rules, and a verdict on each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reprotune.compare.comparison import compare
from reprotune.compare.gate import check_changes, check_limits, read_rules
from reprotune.compare.snapshot import Snapshot
from reprotune.compare.words import notes
from reprotune.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
Pair = tuple[Snapshot, Snapshot]


def rules_file(folder: Path, changes: str = "[]", limits: str = "[]") -> Path:
    path = folder / "gate.yaml"
    path.write_text(f"changes: {changes}\nlimits: {limits}\n")
    return path


def change_rule(folder: Path, **values: Any) -> Any:
    rule = {"metric": "finetuned.score", "better": "higher", "tolerance": 1.0, "significance": 0.05} | values
    text = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in rule.items())
    return read_rules(rules_file(folder, changes=f"[{{{text}}}]"))


def states(rules: Any, snapshots: Pair) -> list[str]:
    return [outcome.state for outcome in check_changes(rules, compare(*snapshots))]


def test_the_shipped_rules_can_be_checked(snapshots: Pair) -> None:
    rules = read_rules(ROOT / "gate.yaml")
    outcomes = [*check_changes(rules, compare(*snapshots)), *check_limits(rules, snapshots[1])]
    assert [outcome.state for outcome in outcomes] == ["kept"] * len(outcomes)
    assert {outcome.state for outcome in check_changes(rules, None)} == {"not checked"}


def test_a_drop_breaks_the_rule_only_if_large_and_significant(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots  # the second is better by about 7 points, p about 0.005
    assert states(change_rule(tmp_path), (before, after)) == ["kept"]
    assert states(change_rule(tmp_path), (after, before)) == ["broken"]
    assert states(change_rule(tmp_path, tolerance=20.0), (after, before)) == ["kept"]
    assert states(change_rule(tmp_path, significance=0.0001), (after, before)) == ["kept"]
    assert states(change_rule(tmp_path, better="lower"), (before, after)) == ["broken"]


def test_a_rule_that_cannot_be_checked_is_broken(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots
    judged = replace(after, results=replace(after.results, judged={**after.results.judged, "method": "another"}))
    empty = replace(after, results=replace(after.results, rows=[]))
    assert states(change_rule(tmp_path), (before, judged)) == ["broken"]
    assert states(change_rule(tmp_path, significance=None), (before, judged)) == ["broken"]
    assert states(change_rule(tmp_path), (before, empty)) == ["broken"]


def test_numbers_without_rows_are_compared_by_tolerance(snapshots: Pair, tmp_path: Path) -> None:
    before, after = snapshots
    best = {**after.results.training["best"], "validation_loss": 1.5}
    worse = replace(after, results=replace(after.results, training={**after.results.training, "best": best}))
    loss = {"metric": "training.best.validation_loss", "better": "lower", "significance": None}
    assert states(change_rule(tmp_path, tolerance=0.2, **loss), (before, worse)) == ["kept"]
    assert states(change_rule(tmp_path, tolerance=0.1, **loss), (before, worse)) == ["broken"]


@pytest.mark.parametrize("section", [{"finetune": {"mask_instruction": False}}, {"format": {"template": "phi3"}}])
def test_losses_over_different_tokens_are_not_compared(
    section: dict[str, Any], snapshots: Pair, tmp_path: Path
) -> None:
    before, after = snapshots
    other = replace(
        after, params={**after.params, **{name: {**after.params[name], **new} for name, new in section.items()}}
    )
    loss = {"metric": "training.best.validation_loss", "better": "lower", "significance": None, "tolerance": 100}
    outcome = check_changes(change_rule(tmp_path, **loss), compare(before, other))[0]
    assert outcome.state == "broken" and "different tokens" in outcome.found
    assert any("cannot be compared" in note for note in notes(compare(before, other)))


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
        ("[{metric: a, better: up, tolerance: 1, significance: null}]", "[]", "higher"),
        ("[{metric: a, better: lower, tolerance: -1, significance: null}]", "[]", "tolerance"),
        ("", "[]", "changes"),
    ],
)
def test_faulty_rules_are_one_sentence(tmp_path: Path, changes: str, limits: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_rules(rules_file(tmp_path, changes, limits))


def test_unknown_metrics_are_refused(snapshots: Pair, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no metric finetuned\.nope: choose one of"):
        check_limits(read_rules(rules_file(tmp_path, limits="[{metric: finetuned.nope, at_least: 1}]")), snapshots[0])
    with pytest.raises(UserError, match="no value per row"):
        states(change_rule(tmp_path, metric="training.steps"), snapshots)

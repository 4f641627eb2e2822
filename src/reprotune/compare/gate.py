"""Rules that a change must keep: `gate.yaml`, checked against the metrics of two revisions.

A rule that cannot be checked counts as broken: a gate must not pass what it could not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from rich import box
from rich.table import Table
from rich.text import Text

from reprotune.compare.comparison import PAIRED, Comparison
from reprotune.compare.snapshot import Snapshot
from reprotune.errors import UserError
from reprotune.params.schema import Section
from reprotune.params.values import read_document
from reprotune.untrusted import visible

RULES_FILE = Path("gate.yaml")
KEPT, BROKEN, UNCHECKED = "kept", "broken", "not checked"
STYLES = {KEPT: "green", BROKEN: "bold red", UNCHECKED: "yellow"}


class ChangeRule(Section):
    """How much worse a metric may get between two revisions."""

    metric: str
    """Dotted name, e.g. `finetuned.score` or `training.best.validation_loss`."""
    better: Literal["higher", "lower"]
    """Which way is better."""
    tolerance: float = Field(ge=0)
    """The metric may get worse by this much, in its own unit."""
    significance: float | None = Field(gt=0, lt=1)
    """Broken only if the paired test on shared rows gives a smaller p; null: only the tolerance counts."""


class LimitRule(Section):
    """What a metric must reach, whatever it was in the other revision."""

    metric: str
    """Dotted name, e.g. `finetuned.coverage`."""
    at_least: float | None = None
    """Smallest value that passes."""
    at_most: float | None = None
    """Largest value that passes."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> "LimitRule":
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        return self


class Rules(Section):
    """All of gate.yaml."""

    changes: list[ChangeRule]
    """Checked against another revision."""
    limits: list[LimitRule]
    """Checked on the second revision alone."""


@dataclass(frozen=True)
class Outcome:
    """The result of one rule: `state` is `kept`, `broken` or `not checked` (no revision to compare with)."""

    metric: str
    rule: str
    found: str
    state: str


def read_rules(path: Path = RULES_FILE) -> Rules:
    """Read and check the rules; raises `UserError` naming every fault."""
    try:
        return Rules.model_validate(read_document(path))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors()
        )
        raise UserError(f"{path}: {faults}") from error


def check_limits(rules: Rules, snapshot: Snapshot) -> list[Outcome]:
    """Check the limits on one revision; raises `UserError` for a metric that it does not have."""
    return [_limit_outcome(rule, _number(snapshot, rule.metric)) for rule in rules.limits]


def check_changes(rules: Rules, comparison: Comparison | None) -> list[Outcome]:
    """Check the changes between two revisions; without a comparison no rule is checked."""
    if comparison is None:
        return [Outcome(rule.metric, _worded(rule), "no revision to compare with", UNCHECKED) for rule in rules.changes]
    return [
        _number_outcome(rule, comparison) if rule.significance is None else _paired_outcome(rule, comparison)
        for rule in rules.changes
    ]


def gate_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the outcomes as a table for the terminal."""
    table = Table(box=box.ROUNDED)
    for name in ("Metric", "Rule", "Found", "Outcome"):
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        words = (Text(visible(cell)) for cell in (outcome.metric, outcome.rule, outcome.found))
        table.add_row(*words, Text(outcome.state, STYLES[outcome.state]))
    return table


def _limit_outcome(rule: LimitRule, value: float) -> Outcome:
    words, kept = [], True
    if rule.at_least is not None:
        words.append(f"at least {rule.at_least:g}")
        kept = kept and value >= rule.at_least
    if rule.at_most is not None:
        words.append(f"at most {rule.at_most:g}")
        kept = kept and value <= rule.at_most
    return Outcome(rule.metric, ", ".join(words), f"{value:.6g}", KEPT if kept else BROKEN)


def _number_outcome(rule: ChangeRule, comparison: Comparison) -> Outcome:
    """Compare a metric's own values in both revisions."""
    if comparison.methods_differ and rule.metric.endswith((".score", ".smallest_detectable")):
        return Outcome(rule.metric, _worded(rule), "scored by different methods", BROKEN)
    if rule.metric.endswith("_loss") and comparison.loss_params:
        keys = ", ".join(str(change) for change in comparison.loss_params)
        return Outcome(rule.metric, _worded(rule), f"means over different tokens ({keys})", BROKEN)
    old, new = (_number(snapshot, rule.metric) for snapshot in (comparison.before, comparison.after))
    kept = _worsening(rule, new - old) <= rule.tolerance
    return Outcome(rule.metric, _worded(rule), f"{old:.6g} -> {new:.6g}", KEPT if kept else BROKEN)


def _paired_outcome(rule: ChangeRule, comparison: Comparison) -> Outcome:
    """Compare a metric's values row by row."""
    if rule.metric not in PAIRED:
        raise UserError(
            f"{RULES_FILE}: {rule.metric} has no value per row to test: set its significance to null, or choose from "
            f"{', '.join(PAIRED)}"
        )
    change = comparison.paired.get(rule.metric)
    if change is None:
        return Outcome(rule.metric, _worded(rule), "scored by different methods", BROKEN)
    if change.difference is None or change.p_value is None or rule.significance is None:
        return Outcome(rule.metric, _worded(rule), "no rows in common", BROKEN)
    found = f"{change.before:.1f} -> {change.after:.1f} on {change.n} shared rows, p = {change.p_value:.2g}"
    broken = _worsening(rule, change.difference) > rule.tolerance and change.p_value < rule.significance
    return Outcome(rule.metric, _worded(rule), found, BROKEN if broken else KEPT)


def _worsening(rule: ChangeRule, difference: float) -> float:
    return -difference if rule.better == "higher" else difference


def _worded(rule: ChangeRule) -> str:
    way = "drop" if rule.better == "higher" else "rise"
    test = "" if rule.significance is None else f" (paired test, p < {rule.significance:g})"
    return f"may not {way} by more than {rule.tolerance:g}{test}"


def _number(snapshot: Snapshot, metric: str) -> float:
    numbers = snapshot.numbers()
    if metric not in numbers:
        raise UserError(
            f"{RULES_FILE}: {snapshot.title} has no metric {metric}: choose one of {', '.join(sorted(numbers))}"
        )
    return float(numbers[metric])

"""Rules that a change must keep: `gate.yaml`, checked against the metrics of two revisions.

A rule on a metric with a value per row is a test of non-inferiority: it is kept only if the confidence interval of the
mean paired difference excludes a loss beyond the tolerance. What cannot be told, compared or trusted is not kept: a
gate must not pass what it could not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from rich import box
from rich.table import Table
from rich.text import Text

from reprotune.artifacts import STATISTICS
from reprotune.compare.benchmarks import MeasureChange
from reprotune.compare.comparison import PAIRED, Comparison
from reprotune.compare.snapshot import TRAINING_TOKENS, VALIDATION_TOKENS, Snapshot
from reprotune.compare.words import stale_words
from reprotune.errors import UserError
from reprotune.params.schema import Section
from reprotune.params.values import read_document
from reprotune.results.words import signed
from reprotune.statistics.paired import BETTER, WORSE, PairedTest, holm
from reprotune.untrusted import visible

RULES_FILE = Path("gate.yaml")
KEPT, BROKEN, TOO_FEW, MISMATCHED, STALE, UNCHECKED = "kept", "broken", "too few", "mismatched", "stale", "not checked"
FEW_SEEDS = "too few seeds"
STYLES = {
    KEPT: "green",
    BROKEN: "bold red",
    TOO_FEW: "yellow",
    FEW_SEEDS: "yellow",
    MISMATCHED: "red",
    STALE: "red",
    UNCHECKED: "yellow",
}
SENTENCES = {
    BROKEN: "{} of {} rules are broken",
    TOO_FEW: "{} of {} rules cannot be told: the rows are too few to exclude a loss beyond the tolerance; add test "
    "rows, raise the tolerance, or allow it with `when_unknown: pass`",
    FEW_SEEDS: "{} of {} rules ask for more seeds than there are: run `reprotune repeat --seeds N` on both sides and "
    "commit repeats/ and metrics/, or allow it with `when_unknown: pass`",
    MISMATCHED: "{} of {} rules compare what cannot be compared: score both sides alike on the same rows, or take "
    "the rule out of the change that makes them differ",
    STALE: "{} of {} checks found results that were not made from what is checked out: run `dvc repro` there and "
    "commit dvc.lock",
}
"""State that fails the gate -> what to say about the number of outcomes in it."""

REPEATED = tuple(metric for metric in PAIRED if not metric.startswith("base."))
"""Metrics that repeats have, too."""

SIGNIFICANCE = 0.05
"""Level of Holm's correction over categories."""

FEWEST_SHOWN = 3
"""Categories that are named before the rest is counted."""


class ChangeRule(Section):
    """How much worse a metric may get between two revisions."""

    metric: str
    """Dotted name, e.g. `finetuned.score` or `training.best.validation_loss`."""
    better: Literal["higher", "lower"]
    """Which way is better."""
    tolerance: float = Field(ge=0)
    """The metric may get worse by this much, in its own unit."""
    when_unknown: Literal["fail", "pass"] = "fail"
    """What to do where the rows, or the seeds, are too few to tell."""
    seeds: int = Field(default=1, ge=1)
    """Runs with different seeds that either side needs; 1: the pipeline's own run is enough."""
    category: str | None = None
    """Only the rows of this category."""
    per_category: bool = False
    """The rows of every category apart."""

    @model_validator(mode="before")
    @classmethod
    def _knows_the_present_keys(cls, rule: Any) -> Any:
        if isinstance(rule, dict) and "significance" in rule:
            raise ValueError("significance is gone: remove it, as the confidence interval decides")
        return rule

    @model_validator(mode="after")
    def _fits_the_metric(self) -> "ChangeRule":
        if self.category is not None and self.per_category:
            raise ValueError("give category or per_category, not both")
        if self.seeds > 1 and self.metric not in REPEATED:
            raise ValueError(f"only these metrics are known by seed: {', '.join(REPEATED)}")
        if (self.category is not None or self.per_category) and self.metric not in PAIRED:
            raise ValueError(
                f"only metrics with a value per row of the test set are known by category: {', '.join(PAIRED)}"
            )
        return self


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
    """The result of one rule; `state` is a key of `STYLES`."""

    metric: str
    rule: str
    found: str
    state: str
    allowed: bool = False
    """Whether the rule says that this state passes."""

    @property
    def fails(self) -> bool:
        """Whether the gate fails because of it."""
        return self.state in SENTENCES and not self.allowed


def read_rules(path: Path = RULES_FILE) -> Rules:
    """Read and check the rules; raises `UserError` naming every fault."""
    return Rules.parse("", read_document(path), path)


def check_limits(rules: Rules, snapshot: Snapshot) -> list[Outcome]:
    """Check the limits on one revision; raises `UserError` for a metric that it does not have."""
    return [_limit_outcome(rule, _number(snapshot, rule.metric)) for rule in rules.limits]


def check_names(rules: Rules, snapshot: Snapshot) -> None:
    """Raise `UserError` if a rule, checked or not, names a metric that the snapshot does not have."""
    for metric in [*(rule.metric for rule in rules.changes), *(rule.metric for rule in rules.limits)]:
        if metric not in PAIRED:
            _number(snapshot, metric)


def check_changes(rules: Rules, comparison: Comparison | None) -> list[Outcome]:
    """Check the changes between two revisions; without a comparison no rule is checked."""
    if comparison is None:
        return [Outcome(rule.metric, _worded(rule), "no revision to compare with", UNCHECKED) for rule in rules.changes]
    return [_change_outcome(rule, comparison) for rule in rules.changes]


def check_stale(snapshots: Sequence[Snapshot]) -> list[Outcome]:
    """Return an outcome for every revision whose results are not those of its params, code and data."""
    return [
        Outcome(snapshot.title, "results are made from what is there", stale_words(snapshot), STALE)
        for snapshot in snapshots
        if snapshot.stale
    ]


def gate_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the outcomes as a table for the terminal."""
    table = Table(box=box.ROUNDED)
    for name in ("Metric", "Rule", "Found", "Outcome"):
        table.add_column(name, overflow="fold")
    for outcome in outcomes:
        words = (Text(visible(cell)) for cell in (outcome.metric, outcome.rule, outcome.found))
        state = f"{outcome.state} (passes)" if outcome.allowed else outcome.state
        table.add_row(*words, Text(state, STYLES[outcome.state]))
    return table


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Return why the gate fails, one sentence for each kind of reason; empty if it passes."""
    counts = {state: sum(outcome.fails and outcome.state == state for outcome in outcomes) for state in SENTENCES}
    return [SENTENCES[state].format(count, len(outcomes)) for state, count in counts.items() if count]


def _limit_outcome(rule: LimitRule, value: float) -> Outcome:
    words, kept = [], True
    if rule.at_least is not None:
        words.append(f"at least {rule.at_least:g}")
        kept = kept and value >= rule.at_least
    if rule.at_most is not None:
        words.append(f"at most {rule.at_most:g}")
        kept = kept and value <= rule.at_most
    return Outcome(rule.metric, ", ".join(words), f"{value:.6g}", KEPT if kept else BROKEN)


def _change_outcome(rule: ChangeRule, comparison: Comparison) -> Outcome:
    if rule.metric in PAIRED:
        return _paired_outcome(rule, comparison)
    if rule.metric in comparison.benchmarks:
        return _benchmark_outcome(rule, comparison.benchmarks[rule.metric], comparison)
    if why := comparison.benchmark_mismatch(rule.metric):
        return Outcome(rule.metric, _worded(rule), why, MISMATCHED)
    return _number_outcome(rule, comparison)


def _benchmark_outcome(rule: ChangeRule, change: MeasureChange, comparison: Comparison) -> Outcome:
    """Compare a benchmark's metric item by item, or a loss on plain text document by document."""
    if change.mismatch:
        return Outcome(rule.metric, _worded(rule), change.mismatch, MISMATCHED)
    if comparison.same_files(change.files):
        return Outcome(rule.metric, _worded(rule), "the same answers to the same questions", KEPT)
    state, found = judged(rule, change.test, change.digits) if change.test else (TOO_FEW, "nothing in common")
    return Outcome(rule.metric, _worded(rule), found, state, state == TOO_FEW and rule.when_unknown == "pass")


def _number_outcome(rule: ChangeRule, comparison: Comparison) -> Outcome:
    """Compare a metric's own values in both revisions: they have no values per row, so the tolerance alone decides."""
    old, new = (_number(snapshot, rule.metric) for snapshot in (comparison.before, comparison.after))
    if why := _mismatch(rule.metric, comparison):
        return Outcome(rule.metric, _worded(rule), why, MISMATCHED)
    kept = _loss(rule, new - old) <= rule.tolerance
    return Outcome(rule.metric, _worded(rule), f"{old:.6g} -> {new:.6g}", KEPT if kept else BROKEN)


def _mismatch(metric: str, comparison: Comparison) -> str:
    """Return why a metric of two revisions cannot be compared; empty if it can."""
    if (mismatch := comparison.benchmark_mismatch(metric)) is not None:
        return mismatch
    if metric.startswith("training."):
        tokens = TRAINING_TOKENS if metric.endswith("train_loss") else VALIDATION_TOKENS
        return comparison.losses_differ(tokens) if metric.endswith("_loss") else ""
    if comparison.methods_differ and metric.rpartition(".")[2] not in STATISTICS:
        old, new = (snapshot.results.judged["method"] for snapshot in (comparison.before, comparison.after))
        return f"scored by different methods ({old}, {new})"
    if metric.startswith("pairwise."):
        sides = (comparison.before, comparison.after)
        old, new = ((side.results.judged.get("pairwise") or {}).get("against", "base") for side in sides)
        if old != new:
            return f"pairs with different opponents ({old}, {new})"
    if metric not in PAIRED and (comparison.only_before or comparison.only_after):
        return "means over different test rows"
    return ""


def _paired_outcome(rule: ChangeRule, comparison: Comparison) -> Outcome:
    """Compare a metric's values row by row."""
    if why := _mismatch(rule.metric, comparison):
        return Outcome(rule.metric, _worded(rule), why, MISMATCHED)
    if comparison.same_results:
        return Outcome(rule.metric, _worded(rule), "the same model, answers and scores", KEPT)
    seeds = [side.repeats.seeds for side in (comparison.before, comparison.after)]
    if min(seeds) < rule.seeds:
        found = f"{seeds[0]} before, {seeds[1]} after, but the rule asks for {rule.seeds} seeds"
        return Outcome(rule.metric, _worded(rule), found, FEW_SEEDS, rule.when_unknown == "pass")
    if rule.per_category:
        state, found = _over_categories(rule, comparison)
    elif rule.category is not None:
        _check_category(rule.category, comparison)
        state, found = judged(rule, comparison.paired_on(rule.metric, rule.category))
    else:
        state, found = judged(rule, comparison.paired[rule.metric])
    return Outcome(rule.metric, _worded(rule), found, state, state == TOO_FEW and rule.when_unknown == "pass")


def judged(rule: ChangeRule, change: PairedTest, digits: int = 1) -> tuple[str, str]:
    """Return the state of a rule on one metric, and what was found.

    Kept if the interval excludes a loss beyond the tolerance; broken if the paired test says that there is a loss and
    the estimate of it is beyond the tolerance; otherwise the rows are too few to tell.
    """
    if change.difference is None or change.ci95_low is None or change.ci95_high is None:
        return TOO_FEW, f"{change.n} rows in common" if change.n else "no rows in common"
    interval = f"{signed(change.ci95_low, digits)} to {signed(change.ci95_high, digits)}"
    moved = f"{change.before:.{digits}f} -> {change.after:.{digits}f}"
    found = f"{moved} on {change.n} shared rows, 95 % interval {interval}"
    if max(_loss(rule, change.ci95_low), _loss(rule, change.ci95_high)) <= rule.tolerance:
        return KEPT, found
    # which way a metric is better is for the rule to say, so the verdict only tells that there is a difference
    told = change.verdict in (BETTER, WORSE)
    return BROKEN if told and _loss(rule, change.difference) > rule.tolerance else TOO_FEW, found


def _over_categories(rule: ChangeRule, comparison: Comparison) -> tuple[str, str]:
    """Return the state of a rule on every category: broken in none by chance alone, kept only if kept in all.

    That all are kept needs no correction. That one is broken does: with Holm's, a change that does nothing breaks a
    rule on 35 categories no more often than a rule on one.
    """
    names = comparison.category_names
    if not names:
        return TOO_FEW, "no row has a category"
    changes = [comparison.paired_on(rule.metric, name) for name in names]
    p_values = holm([1.0 if change.p_value is None else change.p_value for change in changes])
    groups: dict[str, list[str]] = {BROKEN: [], TOO_FEW: [], KEPT: []}
    for name, change, p_value in zip(names, changes, p_values, strict=True):
        state, _ = judged(rule, change)
        if state == BROKEN and p_value >= SIGNIFICANCE:
            state = TOO_FEW
        groups[state].append(f"{name} {signed(change.difference)}")
    worst = next(state for state, found in groups.items() if found)
    counts = ", ".join(f"{len(found)} {state}" for state, found in groups.items() if found)
    shown = groups[worst][:FEWEST_SHOWN] if worst != KEPT else []
    more = ", ..." if len(groups[worst]) > len(shown) else ""
    return worst, f"of {len(names)} categories {counts}" + (f" ({', '.join(shown)}{more})" if shown else "")


def _check_category(name: str, comparison: Comparison) -> None:
    if name not in comparison.category_names:
        known = ", ".join(comparison.category_names) or "there are none"
        raise UserError(f"{RULES_FILE}: no test row in both revisions has the category {name}: choose one of {known}")


def _loss(rule: ChangeRule, difference: float) -> float:
    """Return how much worse a difference is."""
    return -difference if rule.better == "higher" else difference


def _worded(rule: ChangeRule) -> str:
    way = "drop" if rule.better == "higher" else "rise"
    where = " in any category" if rule.per_category else f" in {rule.category}" if rule.category else ""
    return f"may not {way} by more than {rule.tolerance:g}{where}"


def _number(snapshot: Snapshot, metric: str) -> float:
    numbers = snapshot.numbers()
    if metric not in numbers:
        alike = get_close_matches(metric, numbers) or sorted(numbers)
        raise UserError(f"{RULES_FILE}: {snapshot.title} has no metric {metric}: choose one of {', '.join(alike)}")
    return float(numbers[metric])

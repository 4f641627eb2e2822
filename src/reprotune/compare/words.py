"""A comparison in words: sentences and tables that the terminal, Markdown and the page only have to render."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reprotune.artifacts import SPLITS
from reprotune.compare.benchmarks import MeasureChange
from reprotune.compare.comparison import FLIPS, CategoryChange, Comparison, NumberChange, PairedChange, RowPair
from reprotune.compare.snapshot import MADE_WITH, Snapshot
from reprotune.console import counted
from reprotune.results.words import STATISTIC_WORDS, VERDICTS, error_words, points, quantity, signed
from reprotune.statistics.crossed import SeedShare
from reprotune.statistics.paired import BETTER, NOISE, SAME, TOO_FEW, UNKNOWN, WORSE, PairedTest
from reprotune.untrusted import clipped

MAIN_METRIC = "finetuned.score"
DETECTABLE = "Detectable"
SHOWN_REASONS = 3
TEST_WORDS = (
    "Each metric is a mean over the rows that are in both revisions. The 95 % interval of the mean difference "
    "allows for rows unlike any seen and, with eight categories or more, for rows of one category that move together. "
    "p is from a sign-flip permutation test. With p of 0.05 or more, or 0 in the interval, the verdict is within "
    "noise; with fewer than six rows that moved it cannot be told. Where a side has repeats, values are means over its "
    "runs, and interval and p, there from a t-test, allow for other seeds, too. Right answers of a benchmark are "
    "compared item by item (McNemar's exact test), losses on plain text document by document, where lower is better. "
    "Even if nothing has really changed, one verdict in twenty says better or worse, so a long table is likely to hold "
    "some."
)

MADE_WORDS = {
    "torch": "torch",
    "python": "Python",
    "precision": "precision",
    "device_type": "device",
    "constraints_sha256": "the hash of constraints.txt",
}
"""Name of what a model was made with."""

VERDICT = "Verdict"
"""Heading of the cells that are keys of `VERDICT_KINDS`."""

VERDICT_KINDS = {verdict: kind for verdict, (kind, _) in VERDICTS.items()}
"""Verdict -> the kind by which it is coloured: `better`, `worse` or `noise`."""

TableRow = tuple[str, Sequence[str]]
"""The name of what changed, and the cells."""


@dataclass(frozen=True)
class Table:
    """Changes of one kind."""

    title: str
    first: str
    """Heading of the names."""
    head: Sequence[str]
    """Headings of the cells."""
    rows: Sequence[TableRow]

    def without(self, column: str) -> "Table":
        """Return the table without the cells under that heading."""
        kept = [place for place, name in enumerate(self.head) if name != column]
        rows = [(name, [cells[place] for place in kept]) for name, cells in self.rows]
        return replace(self, head=[self.head[place] for place in kept], rows=rows)


@dataclass(frozen=True)
class View:
    """A comparison as it is shown, in words; text that others wrote is in it unchanged."""

    kind: str
    """`better`, `worse` or `noise`."""
    headline: str
    notes: list[str]
    params: Table
    metrics: Table
    benchmarks: Table
    """Empty where neither revision has one."""
    numbers: Table
    categories: Table
    flips: str
    data: list[str]


def view_of(comparison: Comparison) -> View:
    """Return the words for a comparison."""
    kind, sentence = headline(comparison)
    told = notes(comparison)
    if stale := stale_sides(comparison):
        # what stale results show says nothing about the change, so it is not what a reader should see first
        told = [*stale, f"What the results that are there show: {sentence}.", *told]
        titles = " and ".join(side.title for side in (comparison.before, comparison.after) if side.stale)
        kind, sentence = "noise", f"Stale: the results of {titles} are not those of the params, code and data there"
    params = [(change.key, [change.old, change.new]) for change in comparison.params]
    metrics = [_metric_row(change) for change in comparison.paired.values()]
    benchmarks = [_measure_row(change) for change in comparison.benchmarks.values() if change.test is not None]
    numbers = [_number_row(change) for change in comparison.numbers]
    categories = [_category_row(change) for change in comparison.categories]
    head = ["Before", "After", "Change"]
    return View(
        kind=kind,
        headline=sentence,
        notes=told,
        params=Table("Params", "Key", head[:2], params),
        metrics=Table(
            "Fine-tuned model on shared rows", "Metric", [*head, VERDICT, "95 % interval", "p", DETECTABLE], metrics
        ),
        benchmarks=Table("Benchmarks", "Metric", [*head, VERDICT, "95 % interval", "p", DETECTABLE], benchmarks),
        numbers=Table("Training", "Number", head, numbers),
        categories=Table("Score by category", "Category", ["Rows", *head, VERDICT, "Exact"], categories),
        flips=flip_summary(comparison),
        data=data_lines(comparison),
    )


def headline(comparison: Comparison) -> tuple[str, str]:
    """Return the verdict on the fine-tuned score: its kind (`better`, `worse` or `noise`) and the sentence for it.

    Whether the results are stale has no part in it.
    """
    if comparison.methods_differ:
        old, new = (snapshot.results.judged["method"] for snapshot in (comparison.before, comparison.after))
        return "noise", f"Scores cannot be compared: one revision was scored by {old}, the other by {new}"
    change = comparison.paired[MAIN_METRIC]
    if change.verdict == UNKNOWN:
        return "noise", "Scores cannot be compared: no test row was scored in both revisions"
    if change.verdict == SAME:
        return "noise", f"The fine-tuned score is the same on every one of {change.n:,} shared rows"
    moved = f"{points(change.before)} to {points(change.after)} ({signed(change.difference)})"
    if change.share is not None:
        moved += f", {_runs(change.share)}"
    sentences = {
        BETTER: f"The fine-tuned model is better: {moved}",
        WORSE: f"The fine-tuned model is worse: {moved}",
        NOISE: f"The fine-tuned score moved within noise: {moved}",
        TOO_FEW: f"The fine-tuned score moved on too few rows to tell: {moved}",
    }
    return VERDICT_KINDS[change.verdict], sentences[change.verdict]


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader has to know to interpret the numbers, one sentence each."""
    found = []
    if made := made_otherwise(comparison):
        found.append(
            f"The two models were made with different software or devices, which alone can change results: {made}."
        )
    found += _seed_notes(comparison)
    if comparison.methods_differ:
        statistics = ", ".join(STATISTIC_WORDS[key.partition(".")[2]] for key in comparison.paired)
        found.append(f"Statistics that need no judge ({statistics}) are still compared.")
    change = comparison.paired.get(MAIN_METRIC)
    if change and change.smallest_detectable is not None and change.verdict != SAME:
        found.append(
            f"On these {change.n:,} rows a true difference of {change.smallest_detectable:.1f} points would be "
            "detected four times out of five; smaller ones mostly stay within noise."
        )
    if change and change.share is None and change.stderr_clustered is not None and change.verdict != SAME:
        found.append(f"Uncertainty of the score's change: {error_words(vars(change))}; the larger one decides.")
    shared = len(comparison.rows)
    if comparison.only_before or comparison.only_after:
        found.append(
            f"Test rows in both revisions: {shared:,}. Only in the first: {comparison.only_before:,}, only in the "
            f"second: {comparison.only_after:,}; these are not in the paired numbers."
        )
    if change and change.n < shared:
        found.append(f"Shared rows not paired, because a revision has no score for them: {shared - change.n:,}.")
    if why := comparison.losses_differ():
        found.append(f"The validation losses cannot be compared: they are {why}.")
    apart = dict.fromkeys(_apart(change) for change in comparison.benchmarks.values() if change.mismatch)
    return [*found, *apart]


def _seed_notes(comparison: Comparison) -> list[str]:
    """Return what the training seed does to the score, as far as that was measured."""
    sides = (comparison.before, comparison.after)
    found = [
        f"The repeats of {side.title} are not used ({_reason_words(side.repeats.unusable)}): run `reprotune repeat` "
        "there, and commit repeats/ and metrics/."
        for side in sides
        if side.repeats.unusable
    ]
    change = comparison.paired.get(MAIN_METRIC)
    if change is None or change.verdict in (SAME, UNKNOWN):
        return found
    share = change.share
    if share is None:
        return [*found, "One run each: the seed's share of the change is unknown (`reprotune repeat` measures it)."]
    spread = (
        f"Standard error of the score's change: {share.stderr:.2f}, of which the rows make {share.stderr_rows:.2f} and "
        f"the seeds {share.stderr_seeds:.2f} (as squares they add up)."
    )
    if 1 in (share.before, share.after):
        spread += " The single run is taken to vary as much with its seed as the runs of the other side."
    return [*found, spread]


def _runs(share: SeedShare) -> str:
    before, after = (counted(number, "run") for number in (share.before, share.after))
    return f"the means of {before} and {after}"


def _apart(change: MeasureChange) -> str:
    """Return why a benchmark's metric is not one of the same things in both revisions."""
    subject = change.name.removesuffix(" of the base model")
    shown = "" if change.test is None else ": only what both have is compared"
    return f"{subject}: {change.mismatch}{shown}."


def stale_sides(comparison: Comparison) -> list[str]:
    """Return a sentence for each side whose results are stale: why, and what to do."""
    return [
        f"The results of {side.title} were not made from its params, code and data ({stale_words(side)}): run "
        "`dvc repro` there."
        for side in (comparison.before, comparison.after)
        if side.stale
    ]


def made_otherwise(comparison: Comparison) -> str:
    """Return what the models were made with that is not the same; empty where all is, or was not recorded twice."""
    old, new = comparison.before.made_with, comparison.after.made_with
    both = [key for key in MADE_WITH if key in old and key in new and old[key] != new[key]]
    return ", ".join(f"{MADE_WORDS[key]} {_short(key, old[key])} → {_short(key, new[key])}" for key in both)


def _short(key: str, value: str) -> str:
    return clipped(value, 9 if key == "constraints_sha256" else 30)


def stale_words(snapshot: Snapshot) -> str:
    """Return the first reasons why a snapshot's results are stale."""
    return _reason_words(snapshot.stale)


def _reason_words(reasons: Sequence[str]) -> str:
    """Return the first of several reasons."""
    more = len(reasons) - SHOWN_REASONS
    return "; ".join(reasons[:SHOWN_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _metric_row(change: PairedChange) -> TableRow:
    return change.name, _test_cells(change)


def _measure_row(change: MeasureChange) -> TableRow:
    return f"{change.name}, {change.unit}", _test_cells(change.test, change.digits) if change.test else []


def _test_cells(test: PairedTest, digits: int = 1) -> list[str]:
    cells = [points(test.before, digits), points(test.after, digits), signed(test.difference, digits), test.verdict]
    if test.p_value is None or test.verdict == SAME:
        return [*cells, "–", "–", "–"]
    ends = [signed(end, digits) for end in (test.ci95_low, test.ci95_high)]
    interval = "–" if test.ci95_low is None else " to ".join(ends)
    p_value = f"{test.p_value:.4f}" if test.p_value < 0.01 else f"{test.p_value:.2f}"
    return [*cells, interval, p_value, points(test.smallest_detectable, digits)]


def _category_row(change: CategoryChange) -> TableRow:
    score = change.score
    scores = [points(score.before), points(score.after), signed(score.difference), score.verdict]
    return change.name, [f"{change.rows:,}", *scores, f"{change.exact_before} → {change.exact_after}"]


def _number_row(change: NumberChange) -> TableRow:
    if change.before is None or change.after is None:
        return change.name, [quantity(change.before), quantity(change.after), "–"]
    difference = change.after - change.before
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return change.name, [_number(change.before), _number(change.after), f"{sign}{_number(abs(difference))}"]


def _number(value: float) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else quantity(value)


def flip_summary(comparison: Comparison) -> str:
    """Return how many rows flipped, by kind."""
    kinds = [pair.kind for pair in comparison.rows]
    counted = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in FLIPS if kind in kinds)
    other = kinds.count("other answer")
    text = f"{len(comparison.flips):,} of {len(kinds):,} shared rows flipped" + (f" ({counted})" if counted else "")
    return f"{text}; {other:,} more have a different answer with about the same score." if other else f"{text}."


def row_change(pair: RowPair) -> str:
    """Return a row's scores as `20.0 → 85.0`."""
    return f"{points(pair.before.finetuned.score)} → {points(pair.after.finetuned.score)}"


def data_lines(comparison: Comparison) -> list[str]:
    """Return the data changes, one sentence each; if there are none, one sentence that says so."""
    data = comparison.data
    if not data.any:
        return [f"The same {sum(data.after.values()):,} records in the same splits."]
    same = data.before == data.after
    before = "as before" if same else f"before: {_per_split(data.before)}"
    lines = [f"Records: {_per_split(data.after)} ({before})."]
    if data.added:
        lines.append(f"Added: {sum(data.added.values()):,} ({_per_split(data.added)}).")
    if data.removed:
        lines.append(f"Removed: {sum(data.removed.values()):,} ({_per_split(data.removed)}).")
    if data.changed:
        lines.append(f"Changed: {len(data.changed):,} with a new output or category for the same input.")
    if data.moved:
        moves = ", ".join(f"{count:,} from {old} to {new}" for (old, new), count in data.moved.items())
        lines.append(f"Moved between splits: {sum(data.moved.values()):,} ({moves}).")
    return lines


def _per_split(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[split]:,} {split}" for split in SPLITS if split in counts) or "none"

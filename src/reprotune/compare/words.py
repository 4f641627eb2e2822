"""How a comparison is put into words: the same sentences in the terminal, in Markdown and on the page."""

from reprotune.compare.comparison import FLIPS, CategoryChange, Comparison, NumberChange, PairedChange, RowPair
from reprotune.results.words import SPLITS, points, quantity, signed
from reprotune.statistics.paired import BETTER, NOISE, SAME, TOO_FEW, UNKNOWN, WORSE

MAIN_METRIC = "finetuned.score"
TEST_WORDS = (
    "Each metric is a mean over the rows that both revisions have. The interval is a paired bootstrap; p comes from a "
    "sign-flip permutation test of the paired differences; where p is 0.05 or more the verdict is within noise, "
    "and fewer than six rows that moved cannot tell. Where nothing really changed, one verdict in twenty still says "
    "better or worse: many rows, many chances."
)


def headline(comparison: Comparison) -> tuple[str, str]:
    """Return the verdict on the fine-tuned score as `better`, `worse` or `noise`, and the sentence for it."""
    if comparison.methods_differ:
        old, new = (snapshot.results.judged["method"] for snapshot in (comparison.before, comparison.after))
        return "noise", f"Scores cannot be compared: one revision was scored by {old}, the other by {new}"
    change = comparison.paired[MAIN_METRIC]
    if change.verdict == UNKNOWN:
        return "noise", "Scores cannot be compared: no test row was scored in both revisions"
    if change.verdict == SAME:
        return "noise", f"The fine-tuned score is the same on every one of {change.n:,} shared rows"
    moved = f"{points(change.before)} to {points(change.after)} ({signed(change.difference)})"
    sentences = {
        BETTER: ("better", f"The fine-tuned model is better: {moved}"),
        WORSE: ("worse", f"The fine-tuned model is worse: {moved}"),
        NOISE: ("noise", f"The fine-tuned score moved within noise: {moved}"),
        TOO_FEW: ("noise", f"The fine-tuned score moved on too few rows to tell: {moved}"),
    }
    return sentences[change.verdict]


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader must know to judge the numbers, one sentence each."""
    found = []
    for snapshot in (comparison.before, comparison.after):
        if snapshot.stale:
            keys = ", ".join(str(change) for change in snapshot.stale[:3])
            more = f" and {len(snapshot.stale) - 3} more" if len(snapshot.stale) > 3 else ""
            found.append(
                f"The results of {snapshot.title} were not made with its params.yaml ({keys}{more}): run `dvc repro`."
            )
    if comparison.methods_differ:
        found.append("Statistics that need no judge (exact match, chrF, ROUGE-L, token F1) are compared all the same.")
    change = comparison.paired.get(MAIN_METRIC)
    if change and change.smallest_detectable is not None and change.verdict != SAME:
        found.append(
            f"On these {change.n:,} rows a true difference of {change.smallest_detectable:.1f} points would be found "
            "four times out of five; smaller ones mostly stay within noise."
        )
    shared = len(comparison.rows)
    if comparison.only_before or comparison.only_after:
        found.append(
            f"Test rows in both revisions: {shared:,}. Only in the first: {comparison.only_before:,}, only in the "
            f"second: {comparison.only_after:,}; these take no part in the paired numbers."
        )
    if change and change.n < shared:
        found.append(f"Shared rows without a score in one of the revisions, so not paired: {shared - change.n:,}.")
    if comparison.loss_params:
        keys = ", ".join(str(change) for change in comparison.loss_params)
        found.append(f"The losses cannot be compared: they are taken over different tokens ({keys}).")
    if not comparison.data.same_validation:
        found.append("The validation splits differ, so validation losses are not of the same rows.")
    return found


def metric_cells(change: PairedChange) -> list[str]:
    """Return a paired change as cells: before, after, change, verdict, interval, p, smallest detectable."""
    cells = [points(change.before), points(change.after), signed(change.difference), change.verdict]
    if change.p_value is None or change.verdict == SAME:
        return [*cells, "–", "–", "–"]
    interval = "–" if change.ci95_low is None else f"{signed(change.ci95_low)} to {signed(change.ci95_high)}"
    p_value = f"{change.p_value:.4f}" if change.p_value < 0.01 else f"{change.p_value:.2f}"
    return [*cells, interval, p_value, points(change.smallest_detectable)]


METRIC_HEAD = ["Before", "After", "Change", "Verdict", "95 % interval", "p", "Detectable"]


def category_cells(change: CategoryChange) -> list[str]:
    """Return a category as cells: rows, before, after, change, verdict, exact matches."""
    score = change.score
    exact = f"{change.exact_before} → {change.exact_after}"
    return [
        f"{change.rows:,}", points(score.before), points(score.after), signed(score.difference), score.verdict, exact,
    ]  # fmt: skip


CATEGORY_HEAD = ["Rows", "Before", "After", "Change", "Verdict", "Exact"]


def number_cells(change: NumberChange) -> list[str]:
    """Return a plain number as cells: before, after, change."""
    if change.before is None or change.after is None:
        return [quantity(change.before), quantity(change.after), "–"]
    difference = change.after - change.before
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return [_number(change.before), _number(change.after), f"{sign}{_number(abs(difference))}"]


NUMBER_HEAD = ["Before", "After", "Change"]


def _number(value: float) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else quantity(value)


def flip_summary(comparison: Comparison) -> str:
    """Return how many rows flipped, by kind."""
    kinds = [pair.kind for pair in comparison.rows]
    counted = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in FLIPS if kind in kinds)
    other = kinds.count("other answer")
    text = f"{len(comparison.flips):,} of {len(kinds):,} shared rows flipped" + (f" ({counted})" if counted else "")
    return f"{text}; {other:,} more have another answer of about the same score." if other else f"{text}."


def row_change(pair: RowPair) -> str:
    """Return a row's scores as `20.0 → 85.0`."""
    return f"{points(pair.before.finetuned.score)} → {points(pair.after.finetuned.score)}"


def data_lines(comparison: Comparison) -> list[str]:
    """Return the data changes, one sentence each; a single one says that nothing changed."""
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
        lines.append(f"Changed: {len(data.changed):,} with the same instruction and another output or category.")
    if data.moved:
        moves = ", ".join(f"{count:,} from {old} to {new}" for (old, new), count in data.moved.items())
        lines.append(f"Moved between splits: {sum(data.moved.values()):,} ({moves}).")
    return lines


def _per_split(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[split]:,} {split}" for split in SPLITS if split in counts) or "none"

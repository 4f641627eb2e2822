"""Two revisions compared: params, scores pair by pair on the rows both have, single rows, training, data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reprotune.compare.data_changes import DataChanges, data_changes
from reprotune.compare.snapshot import Snapshot
from reprotune.params.differences import ParamChange, param_changes
from reprotune.results.read import Answer, Row
from reprotune.statistics.intervals import (
    CONFIDENCE,
    mean_interval,
    paired_bootstrap,
    sign_flip_p,
    smallest_detectable_difference,
)

SEED = 123
"""Of the resampling statistics; a second run gives the same numbers."""

FLIP_POINTS = 25.0
"""A score that moves by more than this many points counts as a flip."""

NO_CATEGORY = "(none)"
BETTER, WORSE, NOISE, SAME, UNKNOWN = "better", "worse", "within noise", "unchanged", "cannot be said"
TOO_FEW = "too few rows"

SMALLEST_TESTED = 6
"""Rows that moved which a test at 5 % needs: with fewer, p is 2 / 2**5 or more even where all moved the same way."""

PAIRED = {
    "finetuned.score": ("Score", 1.0),
    "finetuned.exact_match": ("Exact matches, %", 100.0),
    "finetuned.chrf": ("chrF, %", 100.0),
    "finetuned.rouge_l": ("ROUGE-L, %", 100.0),
    "finetuned.token_f1": ("Token F1, %", 100.0),
    "base.score": ("Score of the base model", 1.0),
}
"""Metric -> its name and what it is multiplied by for reading. All are means over rows, and higher is better."""

NUMBERS = {
    "training.best.validation_loss": "Best validation loss",
    "training.initial.validation_loss": "Initial validation loss",
    "training.final.train_loss": "Final training loss",
    "training.steps": "Steps",
    "training.tokens_seen": "Tokens seen",
    "training.trained_parameters": "Trained parameters",
    "finetuned.coverage": "Coverage of the scores",
}
"""Metrics without a value per row: shown, not tested."""


LOSS_PARAMS = ("finetune.mask_instruction", "format.", "tokenize.")
"""Params that decide over which tokens a loss is taken."""


@dataclass(frozen=True)
class PairedChange:
    """A metric on the rows that both revisions scored, with the uncertainty of its mean paired difference."""

    key: str
    name: str
    n: int
    before: float | None
    after: float | None
    difference: float | None
    ci95_low: float | None
    ci95_high: float | None
    p_value: float | None
    smallest_detectable: float | None
    verdict: str
    """`better`, `worse`, `within noise`, `too few rows`, `unchanged` or `cannot be said`."""


@dataclass(frozen=True)
class NumberChange:
    """A metric that is one number per revision."""

    key: str
    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class RowPair:
    """A test row of both revisions, with the fine-tuned answers."""

    before: Row
    after: Row
    change: float | None
    """Of the score; null where a score lacks or the methods differ."""
    kind: str
    """One of `FLIPS`, or `other answer`, or `same answer`."""

    @property
    def flipped(self) -> bool:
        """Whether the row belongs among the flips."""
        return self.kind in FLIPS


FLIPS = ("no longer exact", "score down", "newly exact", "score up")
"""Kinds of flips, the bad ones first."""


@dataclass(frozen=True)
class CategoryChange:
    """The fine-tuned model on the shared rows of one category; exact matches are counted."""

    name: str
    score: PairedChange
    rows: int
    exact_before: int
    exact_after: int


@dataclass(frozen=True)
class Comparison:
    """The second revision against the first."""

    before: Snapshot
    after: Snapshot
    params: list[ParamChange]
    methods_differ: bool
    paired: dict[str, PairedChange]
    numbers: list[NumberChange]
    categories: list[CategoryChange]
    rows: list[RowPair]
    """The shared rows, flips first, the largest change first."""
    only_before: int
    """Test rows that the second revision does not have."""
    only_after: int
    data: DataChanges

    @property
    def loss_params(self) -> list[ParamChange]:
        """Changed params through which the losses are means over different tokens, so that they cannot be compared."""
        return [change for change in self.params if change.key.startswith(LOSS_PARAMS)]

    @property
    def flips(self) -> list[RowPair]:
        """The rows that flipped."""
        return [row for row in self.rows if row.flipped]


def compare(before: Snapshot, after: Snapshot, flip_points: float = FLIP_POINTS) -> Comparison:
    """Compare two revisions; scores only where both were given by the same method."""
    methods_differ = before.results.judged["method"] != after.results.judged["method"]
    old, new = before.rows, after.rows
    shared = [identifier for identifier in new if identifier in old]
    pairs = [_row_pair(old[key], new[key], before, after, methods_differ, flip_points) for key in shared]
    old_numbers, new_numbers = before.numbers(), after.numbers()
    return Comparison(
        before=before,
        after=after,
        params=param_changes(before.params, after.params),
        methods_differ=methods_differ,
        paired={
            key: _paired_metric(key, before, after, shared)
            for key in PAIRED
            if not (methods_differ and key.endswith(".score"))
        },
        numbers=[NumberChange(key, name, old_numbers.get(key), new_numbers.get(key)) for key, name in NUMBERS.items()],
        categories=[] if methods_differ else _categories(pairs, before, after),
        rows=sorted(pairs, key=_reading_order),
        only_before=len(old) - len(shared),
        only_after=len(new) - len(shared),
        data=data_changes(before.records, after.records),
    )


def paired_change(key: str, name: str, pairs: Sequence[tuple[float, float]]) -> PairedChange:
    """Test values of the same rows, (before, after); higher is better.

    The verdict rests on the sign-flip permutation test at 5 %; the interval is the bootstrap's.
    """
    differences = [after - before for before, after in pairs]
    # the bootstrap of a single pair would be an interval of no width
    low, high = (paired_bootstrap(differences, SEED) if len(pairs) > 1 else None) or (None, None)
    p_value = sign_flip_p(differences, SEED)
    difference = mean_interval(differences).score
    return PairedChange(
        key=key,
        name=name,
        n=len(pairs),
        before=mean_interval([before for before, _ in pairs]).score,
        after=mean_interval([after for _, after in pairs]).score,
        difference=difference,
        ci95_low=low,
        ci95_high=high,
        p_value=p_value,
        smallest_detectable=smallest_detectable_difference(differences),
        verdict=_verdict(differences, difference, p_value),
    )


def _verdict(differences: Sequence[float], difference: float | None, p_value: float | None) -> str:
    if difference is None or p_value is None:
        return UNKNOWN
    if not any(differences):
        return SAME
    if sum(map(bool, differences)) < SMALLEST_TESTED:
        return TOO_FEW
    if p_value >= 1 - CONFIDENCE:
        return NOISE
    return BETTER if difference > 0 else WORSE


def _paired_metric(key: str, before: Snapshot, after: Snapshot, shared: Sequence[str]) -> PairedChange:
    name, scale = PAIRED[key]
    model, _, statistic = key.partition(".")
    value = _score_reader(model) if statistic == "score" else _statistic_reader(model, statistic)
    pairs = []
    for identifier in shared:
        old, new = value(before, identifier), value(after, identifier)
        if old is not None and new is not None:
            pairs.append((scale * old, scale * new))
    return paired_change(key, name, pairs)


def _score_reader(model: str) -> Callable[[Snapshot, str], float | None]:
    def read(snapshot: Snapshot, identifier: str) -> float | None:
        row = snapshot.rows[identifier]
        return (row.base if model == "base" else row.finetuned).score

    return read


def _statistic_reader(model: str, statistic: str) -> Callable[[Snapshot, str], float | None]:
    def read(snapshot: Snapshot, identifier: str) -> float | None:
        return snapshot.statistics[model, identifier].get(statistic)

    return read


def _row_pair(
    old: Row, new: Row, before: Snapshot, after: Snapshot, methods_differ: bool, flip_points: float
) -> RowPair:
    change = None if methods_differ else _change(old.finetuned, new.finetuned)
    exact = _is_exact(before, old.id), _is_exact(after, new.id)
    if exact == (False, True):
        kind = "newly exact"
    elif exact == (True, False):
        kind = "no longer exact"
    elif change is not None and abs(change) > flip_points:
        kind = "score up" if change > 0 else "score down"
    else:
        kind = "same answer" if old.finetuned.response == new.finetuned.response else "other answer"
    return RowPair(old, new, change, kind)


def _is_exact(snapshot: Snapshot, identifier: str) -> bool:
    return snapshot.statistics["finetuned", identifier]["exact_match"] == 1.0


def _change(old: Answer, new: Answer) -> float | None:
    return None if old.score is None or new.score is None else new.score - old.score


def _reading_order(pair: RowPair) -> tuple[int, float, int]:
    kinds = (*FLIPS, "other answer", "same answer")
    return kinds.index(pair.kind), -abs(pair.change or 0.0), pair.after.number


def _categories(pairs: Sequence[RowPair], before: Snapshot, after: Snapshot) -> list[CategoryChange]:
    """Return the categories of the second revision, the largest losses first; none where no row has one."""
    groups: dict[str | None, list[RowPair]] = {}
    for pair in pairs:
        groups.setdefault(pair.after.category, []).append(pair)
    if set(groups) <= {None}:
        return []
    changes = []
    for category, rows in groups.items():
        name = NO_CATEGORY if category is None else category
        scores = [(row.before.finetuned.score, row.after.finetuned.score) for row in rows]
        known = [(old, new) for old, new in scores if old is not None and new is not None]
        change = CategoryChange(
            name=name,
            score=paired_change("finetuned.score", name, known),
            rows=len(rows),
            exact_before=sum(_is_exact(before, row.before.id) for row in rows),
            exact_after=sum(_is_exact(after, row.after.id) for row in rows),
        )
        changes.append(change)
    return sorted(changes, key=lambda change: (change.score.difference or 0.0, change.name))

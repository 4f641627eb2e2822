"""Two revisions compared: params, metrics paired over the rows both have, single rows, training, data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reprotune.artifacts import MODELS, NO_CATEGORY
from reprotune.compare.benchmarks import RETENTION, MeasureChange, measure_changes
from reprotune.compare.data import DataChanges, data_changes
from reprotune.compare.snapshot import RESULTS, VALIDATION_TOKENS, Snapshot
from reprotune.params.differences import ParamChange, param_changes
from reprotune.results.read import Answer, Row
from reprotune.statistics.crossed import SeedShare, repeated_test
from reprotune.statistics.paired import PairedTest, paired_test

SEED = 123
"""For the resampling statistics, so that a second run gives the same numbers."""

FLIP_POINTS = 25.0
"""A score that changes by more than this many points counts as a flip."""

SPAN = 100.0
"""The largest change of a row in any of the metrics of `PAIRED`."""

PAIRED = {
    "finetuned.score": ("Score", 1.0),
    "finetuned.exact_match": ("Exact matches, %", 100.0),
    "finetuned.chrf": ("chrF, %", 100.0),
    "finetuned.rouge_l": ("ROUGE-L, %", 100.0),
    "finetuned.token_f1": ("Token F1, %", 100.0),
    "base.score": ("Score of the base model", 1.0),
}
"""Metric -> its name and the factor that makes it readable. All are means over rows, on a scale of 0
to 100 on which higher is better."""

NUMBERS = {
    "training.best.validation_loss": "Best validation loss",
    "training.initial.validation_loss": "Initial validation loss",
    "training.final.train_loss": "Final training loss",
    "training.steps": "Steps",
    "training.tokens_seen": "Tokens seen",
    "training.trained_parameters": "Trained parameters",
    "finetuned.coverage": "Coverage of the scores",
    "checks.finetuned.rows_strict": "Share of rows that comply with their checks",
}
"""Metrics without a value per row: shown, not tested."""

RETAINED = tuple(f"{RETENTION}.{name}." for name in (*MODELS, "difference"))
"""How metrics of retention begin."""
ONLY_WITH_CHECKS = "checks.finetuned.rows_strict"
"""Not shown where no row of either revision has checks."""

LOSS_PARAMS = ("finetune.mask_instruction", "format.", "tokenize.")
"""Params that decide which tokens a loss is averaged over."""

FLIPS = ("no longer exact", "score down", "newly exact", "score up")
"""Kinds of flips, the bad ones first."""


@dataclass(frozen=True)
class PairedChange(PairedTest):
    """A metric on the rows that both revisions scored."""

    key: str
    name: str
    share: SeedShare | None = None
    """What the seeds and the rows bring to the uncertainty; null where neither revision has repeats."""


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
    """Of the score; null where one is missing or the methods differ."""
    kind: str
    """One of `FLIPS`, `other answer` or `same answer`."""

    @property
    def flipped(self) -> bool:
        """Whether the row is a flip."""
        return self.kind in FLIPS


@dataclass(frozen=True)
class CategoryChange:
    """The fine-tuned model on the shared rows of one category, with counts of its exact matches."""

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
    benchmarks: dict[str, MeasureChange]
    """Metrics of benchmarks and retention that either revision has."""
    numbers: list[NumberChange]
    categories: list[CategoryChange]
    rows: list[RowPair]
    """The shared rows: flips first, and the largest changes first."""
    only_before: int
    """Number of test rows that only the first revision has."""
    only_after: int
    data: DataChanges

    def losses_differ(self, tokens: str = VALIDATION_TOKENS) -> str:
        """Return why losses on the file `tokens` are means over different tokens; empty if they can be compared.

        The file's hash in both dvc.lock decides, and whether the prompts count. Where a hash is unknown, changed params
        that shape the tokens do, and for validation the records.
        """
        old, new = (snapshot.hashes.get(tokens) for snapshot in (self.before, self.after))
        known = old is not None and new is not None
        shaping = ("finetune.mask_instruction",) if known and old == new else LOSS_PARAMS
        changed = [str(change) for change in self.params if change.key.startswith(shaping)]
        if changed:
            return f"means over different tokens ({', '.join(changed)})"
        if old != new if known else not self.data.same_validation:
            return "means over different rows"
        return ""

    @property
    def same_results(self) -> bool:
        """Whether the models, answers and scores of both revisions are the same files."""
        return self.same_files(RESULTS)

    def same_files(self, paths: Sequence[str]) -> bool:
        """Tell whether files of `snapshot.HASHED` are known to be the same in both revisions."""
        pairs = [(self.before.hashes.get(path), self.after.hashes.get(path)) for path in paths]
        return all(old is not None and old == new for old, new in pairs)

    def benchmark_mismatch(self, metric: str) -> str | None:
        """Return why a metric of a benchmark or of retention cannot be compared, empty if it can; null for others."""
        sides = (self.before, self.after)
        if not any(metric in side.benchmark_numbers for side in sides):
            return None
        lacking = [f"{side.title} has none" for side in sides if metric not in side.benchmark_numbers]
        # the task and the formulation, or the word retention, which a model follows
        name = metric.split(".")[: 1 if metric.startswith(RETAINED) else 2]
        own = [change.mismatch for key, change in self.benchmarks.items() if key.split(".")[: len(name)] == name]
        return next(filter(None, [*lacking, *own]), "")

    def paired_on(self, key: str, category: str) -> PairedChange:
        """Return a metric of `PAIRED` on the shared rows of one category."""
        return _paired_metric(key, self.before, self.after, self._shared.get(category, []))

    @cached_property
    def _shared(self) -> dict[str, list[str]]:
        """Category -> the ids of its shared rows."""
        found: dict[str, list[str]] = {}
        for pair in self.rows:
            found.setdefault(category_name(pair.after), []).append(pair.after.id)
        return found

    @property
    def category_names(self) -> list[str]:
        """The categories of the shared rows; empty where no row has one."""
        found = {pair.after.category for pair in self.rows}
        return [] if found <= {None} else sorted({category_name(pair.after) for pair in self.rows})

    @property
    def flips(self) -> list[RowPair]:
        """The rows that flipped."""
        return [row for row in self.rows if row.flipped]


def category_name(row: Row) -> str:
    """Return a row's category as results name it."""
    return NO_CATEGORY if row.category is None else row.category


def compare(before: Snapshot, after: Snapshot, flip_points: float = FLIP_POINTS) -> Comparison:
    """Compare two revisions; scores are compared only if both revisions were scored by the same method."""
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
        benchmarks=measure_changes(before.results.measured, after.results.measured, (before.title, after.title)),
        numbers=[
            NumberChange(key, name, old_numbers.get(key), new_numbers.get(key))
            for key, name in NUMBERS.items()
            if key != ONLY_WITH_CHECKS or key in old_numbers or key in new_numbers
        ],
        categories=[] if methods_differ else _categories(pairs, before, after),
        rows=sorted(pairs, key=_reading_order),
        only_before=len(old) - len(shared),
        only_after=len(new) - len(shared),
        data=data_changes(before.records, after.records),
    )


def paired_change(
    key: str, name: str, pairs: Sequence[tuple[float, float]], categories: Sequence[str | None] | None = None
) -> PairedChange:
    """Test the (before, after) values of a metric of 0 to 100 on the same rows; higher is better.

    Rows of one category are not taken for independent.
    """
    return PairedChange(key=key, name=name, **vars(paired_test(pairs, SEED, SPAN, categories)))


def _paired_metric(
    key: str, before: Snapshot, after: Snapshot, shared: Sequence[str], name: str | None = None
) -> PairedChange:
    """Test a metric of `PAIRED` on the rows that both have it for, with all seeds of a side that has repeats."""
    title, scale = PAIRED[key]
    read_old, read_new = _values_reader(key, before), _values_reader(key, after)
    kept = [
        (old, new, after.rows[identifier].category)
        for identifier in shared
        if (old := read_old(identifier)) is not None and (new := read_new(identifier)) is not None
    ]
    categories = [category for _, _, category in kept]
    if not _has_repeats(key, before, after):
        pairs = [(scale * old[0], scale * new[0]) for old, new, _ in kept]
        return paired_change(key, name or title, pairs, categories)
    old_values, new_values = (
        scale * np.array([row[place] for row in kept], dtype=float).reshape(len(kept), side.repeats.seeds).T
        for place, side in enumerate((before, after))
    )
    test, share = repeated_test(old_values, new_values, SPAN, categories)
    return PairedChange(key=key, name=name or title, share=share, **vars(test))


def _has_repeats(key: str, before: Snapshot, after: Snapshot) -> bool:
    return not key.startswith("base.") and any(side.repeats.values for side in (before, after))


def _values_reader(key: str, snapshot: Snapshot) -> Callable[[str], Sequence[float] | None]:
    """Return what reads the values of a metric on a row: of all seeds where there are repeats, else of the one run."""
    model, _, statistic = key.partition(".")
    if model != "base" and snapshot.repeats.values is not None:
        return snapshot.repeats.values.values[statistic].get
    read = _score_reader(model) if statistic == "score" else _statistic_reader(model, statistic)

    def single(identifier: str) -> Sequence[float] | None:
        value = read(snapshot, identifier)
        return None if value is None else (value,)

    return single


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
        ids = [row.after.id for row in rows]
        change = CategoryChange(
            name=name,
            score=_paired_metric("finetuned.score", before, after, ids, name),
            rows=len(rows),
            exact_before=sum(_is_exact(before, row.before.id) for row in rows),
            exact_after=sum(_is_exact(after, row.after.id) for row in rows),
        )
        changes.append(change)
    return sorted(changes, key=lambda change: (change.score.difference or 0.0, change.name))

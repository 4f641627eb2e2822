"""Two revisions compared: params, metrics paired over the rows both have, single rows, training, data."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reprotune.artifacts import NO_CATEGORY, SPLITS
from reprotune.compare.snapshot import RESULTS, VALIDATION_TOKENS, Record, Snapshot
from reprotune.params.differences import ParamChange, param_changes
from reprotune.results.read import Answer, Row
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
class DataChanges:
    """Counts of records; a record is recognised by its content or, if its answer changed, by instruction and input."""

    before: dict[str, int]
    """Split -> number of records."""
    after: dict[str, int]
    added: dict[str, int]
    """Split of the second revision -> records that the first does not have."""
    removed: dict[str, int]
    changed: list[tuple[Record, Record]]
    """The same instruction and input with another output or category."""
    moved: dict[tuple[str, str], int]
    """(from, to) -> records that changed split."""

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.removed or self.changed or self.moved)

    @property
    def same_validation(self) -> bool:
        """Whether the validation losses are of the same records."""
        touched = {*self.added, *self.removed, *(split for pair in self.moved for split in pair)}
        return "validation" not in touched | {record.split for pair in self.changed for record in pair}


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
        pairs = [(self.before.hashes.get(path), self.after.hashes.get(path)) for path in RESULTS]
        return all(old is not None and old == new for old, new in pairs)

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


def _paired_metric(key: str, before: Snapshot, after: Snapshot, shared: Sequence[str]) -> PairedChange:
    name, scale = PAIRED[key]
    model, _, statistic = key.partition(".")
    value = _score_reader(model) if statistic == "score" else _statistic_reader(model, statistic)
    pairs, categories = [], []
    for identifier in shared:
        old, new = value(before, identifier), value(after, identifier)
        if old is not None and new is not None:
            pairs.append((scale * old, scale * new))
            categories.append(after.rows[identifier].category)
    return paired_change(key, name, pairs, categories)


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


def data_changes(before: Mapping[str, Record], after: Mapping[str, Record]) -> DataChanges:
    """Compare the records of two revisions, each given as id -> record."""
    pairs = [(before[identifier], after[identifier]) for identifier in before.keys() & after.keys()]
    gone = {key: record for key, record in before.items() if key not in after}
    new = {key: record for key, record in after.items() if key not in before}
    rewritten = _rewritten(gone, new)
    pairs += [(gone.pop(old), new.pop(fresh)) for old, fresh in rewritten]
    changed = [(old, fresh) for old, fresh in pairs if (old.output, old.category) != (fresh.output, fresh.category)]
    moved = Counter((old.split, fresh.split) for old, fresh in pairs if old.split != fresh.split)
    return DataChanges(
        before=_by_split(before),
        after=_by_split(after),
        added=_by_split(new),
        removed=_by_split(gone),
        changed=sorted(changed, key=lambda pair: (pair[1].instruction, pair[1].input, pair[1].output)),
        moved=dict(sorted(moved.items())),
    )


def _rewritten(gone: Mapping[str, Record], new: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Return (old id, new id) of records that ask the same thing, matched one to one in the order of the files."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for identifier, record in gone.items():
        waiting.setdefault((record.instruction, record.input), []).append(identifier)
    pairs = []
    for identifier, record in new.items():
        if candidates := waiting.get((record.instruction, record.input)):
            pairs.append((candidates.pop(0), identifier))
    return pairs


def _by_split(records: Mapping[str, Record]) -> dict[str, int]:
    counts = Counter(record.split for record in records.values())
    return {split: counts[split] for split in SPLITS if counts[split]}

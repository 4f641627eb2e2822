"""Dividing records into train, test and validation, without near-duplicates across splits."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from reprotune.dataset.dealing import (
    DEALING_ORDER,
    TEST,
    TRAIN,
    VALIDATION,
    Ints,
    deal,
    deal_hashed,
    deal_in_file_order,
    shuffled,
    split_sizes,
    stratified,
)
from reprotune.dataset.near_duplicates import near_duplicate_groups
from reprotune.errors import UserError
from reprotune.params.sections.split import SplitParams

DIVIDED, REMOVED = -1, len(DEALING_ORDER)
PLACES = {"train": TRAIN, "test": TEST, "validation": VALIDATION}
SHOWN = ("id", "source", "source_row", "instruction", "input")
"""What is shown of a row in a group, where it has that."""
HASH_DIGITS = 16
"""Of an id; what follows counts the copies of the same content."""


@dataclass
class Split:
    """Where each record goes, in the order of the source, and the counts for summary.json."""

    assigned: Ints
    """[rows] places in `DEALING_ORDER`; `REMOVED` where a row is in no split."""
    groups: Ints
    """[rows] the first row of each row's group of near-duplicates."""
    summary: dict[str, Any]

    def grouped(self, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
        """Return the groups of more than one row for a person to read, the largest first."""
        members = np.bincount(self.groups, minlength=len(self.groups))
        found: dict[int, list[dict[str, Any]]] = {}
        start = 0
        for batch in batches:
            shown = [name for name in SHOWN if name in batch.schema.names]
            for row in np.flatnonzero(members[self.groups[start : start + batch.num_rows]] > 1).tolist():
                part = batch.slice(row, 1)
                record = part.to_pylist()[0]
                texts = {name: record[name] for name in shown}
                if "messages" in record:
                    texts["asked"] = next(_tasks(part))
                place = int(self.assigned[start + row])
                split = "(removed)" if place == REMOVED else DEALING_ORDER[place]
                found.setdefault(int(self.groups[start + row]), []).append({"split": split, **texts})
            start += batch.num_rows
        return [{"rows": rows} for _, rows in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))]

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, pa.Table]]:
        """Yield the rows of each split for one batch of records after another."""
        start = 0
        for batch in batches:
            places = self.assigned[start : start + batch.num_rows]
            start += batch.num_rows
            table = pa.Table.from_batches([batch])
            yield {name: table.filter(pa.array(places == place)) for place, name in enumerate(DEALING_ORDER)}


def split_records(
    batches: Iterable[pa.RecordBatch], params: SplitParams, roles: Mapping[str, str] | None = None
) -> Split:
    """Divide records (batches of one of `RECORD_SCHEMAS`) as `params` say.

    Raises `UserError` if a split would be empty, or if the sizes do not come out.

    `roles` names the sources whose rows are all for one split. Reads one batch at a time, so that memory holds the
    tasks' texts at most, never the answers.
    """
    rows = _Rows(params, roles or {})
    if params.group_near_duplicates or roles:
        alike = near_duplicate_groups(rows.read(batches), params.near_duplicate_similarity)
    else:
        alike = np.arange(sum(1 for _ in rows.read(batches)))
    places, divided = rows.places(), rows.places() == DIVIDED
    _check_roles(set(places[~divided].tolist()), params)
    _, first, group = np.unique(alike[divided], return_index=True, return_inverse=True)
    groups = first[group] if params.group_near_duplicates else np.arange(len(group))
    places[divided], moved = _dealt(rows, groups, divided, params)
    summary = {
        "near_duplicate_groups": None,
        "rows_in_groups": None,
        "rows_moved": moved,
    }
    if params.group_near_duplicates:
        members = np.bincount(alike, minlength=len(alike))
        summary["near_duplicate_groups"] = int((members > 1).sum())
        summary["rows_in_groups"] = int(members[members > 1].sum())
    more = _decontaminate(places, alike, divided, params) if roles else {}
    dealt = np.bincount(places, minlength=REMOVED + 1).tolist()
    counts = dict(zip(DEALING_ORDER, dealt, strict=False))
    _check_filled(counts, len(np.unique(groups)), params)
    if rows.sources:
        more["sources"] = rows.counts_by_source(places)
    return Split(places, alike, {"rows": counts, **summary, **more})


class _Rows:
    """What is needed of each record besides its task, collected while the tasks are read."""

    def __init__(self, params: SplitParams, roles: Mapping[str, str]) -> None:
        self._params, self._roles = params, roles
        self.sources: dict[str, int] = {}
        self._source: list[Ints] = []
        self._strata: dict[str | None, int] = {}
        self._stratum: list[int] = []
        self._hashes: list[int] = []
        self._count = 0

    def read(self, batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
        """Yield the task of each record, and remember what else is needed."""
        for batch in batches:
            self._count += batch.num_rows
            if "source" in batch.schema.names:
                numbers = [self.sources.setdefault(name, len(self.sources)) for name in batch["source"].to_pylist()]
                self._source.append(np.array(numbers, dtype=np.int64))
            if self._params.stratify:
                self._stratum += [
                    self._strata.setdefault(name, len(self._strata)) for name in batch["category"].to_pylist()
                ]
            if self._params.order == "hashed":
                self._hashes += [int(identifier[:HASH_DIGITS], 16) for identifier in batch["id"].to_pylist()]
            yield from _tasks(batch)

    def places(self) -> Ints:
        """Return [rows] the place of each row whose source has a role, `DIVIDED` for all others."""
        if not self.sources:
            return np.full(self._count, DIVIDED, dtype=np.int64)
        by_source = [PLACES.get(self._roles.get(name, ""), DIVIDED) for name in self.sources]
        return np.array(by_source, dtype=np.int64)[np.concatenate(self._source)]

    def strata(self) -> Ints:
        return np.array(self._stratum, dtype=np.int64)

    def hashes(self) -> Any:
        return np.array(self._hashes, dtype=np.uint64)

    def counts_by_source(self, places: Ints) -> dict[str, dict[str, int]]:
        """Return source -> split -> rows."""
        numbers = np.concatenate(self._source)
        found = {}
        for name, number in self.sources.items():
            counts = np.bincount(places[numbers == number], minlength=REMOVED).tolist()
            found[name] = dict(zip(DEALING_ORDER, counts, strict=False))
        return found


def _tasks(batch: pa.RecordBatch) -> Iterator[str]:
    """Yield what each record asks: instruction and input, or all that the user says, or else the whole text."""
    if "messages" in batch.schema.names:
        for messages in batch["messages"].to_pylist():
            asked = [message["content"] for message in messages if message["role"] == "user"]
            yield "\n".join(asked or [message["content"] for message in messages])
        return
    columns = (batch[name].to_pylist() for name in ("instruction", "input"))
    yield from (f"{instruction}\n{extra}" for instruction, extra in zip(*columns, strict=True))


def _dealt(rows: _Rows, groups: Ints, divided: Any, params: SplitParams) -> tuple[Ints, int]:
    """Return the places of the divided rows, and how many of them left the place that the file's order gives them."""
    if params.order == "hashed":
        return deal_hashed(groups, rows.hashes()[divided], params), 0
    sizes = split_sizes(len(groups), params)
    if params.order == "file" and not params.stratify:
        return deal_in_file_order(groups, sizes)
    order = shuffled(groups, params.seed) if params.order == "shuffled" else np.unique(groups)
    if params.stratify:
        order = stratified(order, groups, rows.strata()[divided])
    return deal(order, groups, sizes), 0


def _decontaminate(places: Ints, alike: Ints, divided: Any, params: SplitParams) -> dict[str, Any]:
    """Count the training rows that are like a row of a test or validation source; take them out where asked to."""
    counts: dict[str, int] = {}
    found = np.zeros(len(places), dtype=np.bool_)
    for name in ("test", "validation"):
        fixed = np.zeros(len(places), dtype=np.bool_)
        fixed[alike[~divided & (places == PLACES[name])]] = True
        like = (places == TRAIN) & fixed[alike]
        counts[f"train_rows_like_{name}"] = int(like.sum())
        found |= like
    if params.contamination == "remove":
        places[found] = REMOVED
    return {"contamination": {**counts, "removed": int(found.sum()) if params.contamination == "remove" else 0}}


def _check_roles(fixed: set[int], params: SplitParams) -> None:
    """Raise `UserError` where divided rows would go to a split that has a source of its own."""
    for name, share in (("test", params.test), ("validation", params.validation)):
        if PLACES[name] in fixed and share != 0:
            raise UserError(
                f"a source has the role {name}, but split.{name} is {'null' if share is None else f'{share:g}'}, so "
                f"rows of other sources would join its own: set split.{name} to 0"
            )


def _check_filled(dealt: dict[str, int], groups: int, params: SplitParams) -> None:
    for name, count in dealt.items():
        if not count:
            shares = [f"{key} {size:g}" for key in DEALING_ORDER if (size := getattr(params, key)) is not None]
            keys = [f"split.{key}" for key in DEALING_ORDER if getattr(params, key) is not None]
            raise UserError(
                f"the {name} split would be empty: {sum(dealt.values())} records in {groups} groups do not fill "
                f"shares of {' and '.join(shares)}; add records, change {' and '.join(keys)}{_or_shuffle(params)}"
            )


def _or_shuffle(params: SplitParams) -> str:
    """Return what else may help: in file order, near-duplicates all go where the first of them is."""
    return ", or set split.order to shuffled" if params.order == "file" else ", or split.group_near_duplicates"


def sorted_by_category(batches: Iterable[pa.RecordBatch], assigned: Ints) -> tuple[int, int]:
    """Return how many test rows have a category, and how many of these have one that no training row has."""
    trained: set[str] = set()
    tested: Counter[str] = Counter()
    start = 0
    for batch in batches:
        places = assigned[start : start + batch.num_rows].tolist()
        start += batch.num_rows
        for category, place in zip(batch["category"].to_pylist(), places, strict=True):
            if category is not None and place == TRAIN:
                trained.add(category)
            elif category is not None and place == TEST:
                tested[category] += 1
    return tested.total(), sum(count for category, count in tested.items() if category not in trained)

"""Dividing records into train, test and validation, without near-duplicates across splits."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reprotune.dataset.near_duplicates import near_duplicate_groups
from reprotune.errors import UserError
from reprotune.params.sections.split import SplitParams

Ints = npt.NDArray[np.int64]

DEALING_ORDER = ("train", "test", "validation")
TRAIN, TEST, VALIDATION = range(3)


@dataclass
class Split:
    """Where each record goes, in the order of the source, and the counts for summary.json."""

    assigned: Ints
    """[rows] places in `DEALING_ORDER`."""
    groups: Ints
    """[rows] the first row of each row's group of near-duplicates."""
    summary: dict[str, Any]

    def grouped(self, batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
        """Return the groups of more than one row for a person to read, the largest first."""
        members = np.bincount(self.groups, minlength=len(self.groups))
        found: dict[int, list[dict[str, Any]]] = {}
        start = 0
        for batch in batches:
            for row in np.flatnonzero(members[self.groups[start : start + batch.num_rows]] > 1).tolist():
                record = batch.slice(row, 1).to_pylist()[0]
                texts = {name: record[name] for name in ("id", "source_row", "instruction", "input")}
                place = int(self.assigned[start + row])
                found.setdefault(int(self.groups[start + row]), []).append({"split": DEALING_ORDER[place], **texts})
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


def _or_shuffle(params: SplitParams) -> str:
    """Return what else may help: in file order, near-duplicates all go where the first of them is."""
    return ", or set split.order to shuffled" if params.order == "file" else ", or split.group_near_duplicates"


def split_records(batches: Iterable[pa.RecordBatch], params: SplitParams) -> Split:
    """Divide records (batches of `RECORDS`) as `params` say; raises `UserError` if a split would be empty.

    Reads one batch at a time, so that memory holds the tasks' texts at most, never the answers.
    """
    if params.group_near_duplicates:
        groups = near_duplicate_groups(_tasks(batches), params.near_duplicate_similarity)
    else:
        groups = np.arange(sum(batch.num_rows for batch in batches))
    rows = len(groups)
    sizes = split_sizes(rows, params)
    if params.order == "file":
        in_order = np.repeat(np.arange(len(sizes)), sizes)
        assigned = in_order[groups]
        moved = int((assigned != in_order).sum())
    else:
        assigned = deal_shuffled(groups, sizes, params.seed)
        moved = 0
    dealt = dict(zip(DEALING_ORDER, np.bincount(assigned, minlength=len(DEALING_ORDER)).tolist(), strict=True))
    for name, count in dealt.items():
        if not count:
            raise UserError(
                f"the {name} split would be empty: {rows} records in {len(np.unique(groups))} groups do not fill "
                f"shares of train {params.train:g} and test {params.test:g}; add records, change split.train and "
                f"split.test{_or_shuffle(params)}"
            )
    members = np.bincount(groups, minlength=rows)
    summary = {
        "rows": dealt,
        "near_duplicate_groups": int((members > 1).sum()) if params.group_near_duplicates else None,
        "rows_in_groups": int(members[members > 1].sum()) if params.group_near_duplicates else None,
        "rows_moved": moved,
    }
    return Split(assigned, groups, summary)


def _tasks(batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    """Yield instruction and input of each record as one text."""
    for batch in batches:
        columns = (batch[name].to_pylist() for name in ("instruction", "input"))
        yield from (f"{instruction}\n{extra}" for instruction, extra in zip(*columns, strict=True))


def split_sizes(rows: int, params: SplitParams) -> tuple[int, int, int]:
    """Return the rows of train, test and validation: the first two rounded down, as in the book chapter.

    Test rows beyond `max_test_rows` go to training.
    """
    train, test = int(rows * params.train), int(rows * params.test)
    validation = rows - train - test
    kept = min(test, params.max_test_rows or test)
    return train + test - kept, kept, validation


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


def deal_shuffled(groups: Ints, sizes: tuple[int, int, int], seed: int) -> Ints:
    """Return the split of each row: whole groups, in an order drawn with `seed`, each to the first split with room.

    `groups` names for each row the first row of its group. A group that fits nowhere goes where most
    room is left. Drawn with numpy's PCG64, whose streams are the same on every platform.
    """
    members = np.bincount(groups, minlength=len(groups))
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(members))
    room = list(sizes)
    assigned = np.empty(len(groups), dtype=np.int64)
    for group in shuffled.tolist():
        size = int(members[group])
        fitting = (place for place, left in enumerate(room) if left >= size)
        place = next(fitting, room.index(max(room)))
        assigned[group] = place
        room[place] -= size
    return assigned[groups]

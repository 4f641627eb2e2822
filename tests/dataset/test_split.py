"""Dividing records: the chapter's cut, whole groups, shares, determinism."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import RECORDS
from reprotune.dataset.dealing import DEALING_ORDER, deal, shuffled
from reprotune.dataset.split import Split, sorted_by_category, split_records
from reprotune.errors import UserError
from reprotune.params.sections.split import SplitParams


def params(**changes: object) -> SplitParams:
    values = {
        "train": 0.85,
        "test": 0.1,
        "max_test_rows": None,
        "order": "file",
        "seed": 123,
        "group_near_duplicates": False,
        "near_duplicate_similarity": 0.9,
    }
    return SplitParams.parse("split", values | changes)


def table(instructions: list[str]) -> pa.Table:
    rows = [
        {"id": f"r{row}", "instruction": text, "input": "", "output": "x", "category": None, "source_row": row}
        for row, text in enumerate(instructions)
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def distinct(count: int) -> list[str]:
    """Texts that share no shingle."""
    return [chr(0x4E00 + row) * 6 for row in range(count)]


class Divided(NamedTuple):
    """A split whose tables are put together again from batches of a few rows."""

    tables: dict[str, pa.Table]
    summary: dict[str, object]


def divided(records: pa.Table, settings: SplitParams) -> Divided:
    batches = records.to_batches(max_chunksize=7)
    split: Split = split_records(batches, settings)
    parts = list(split.parts(batches))
    return Divided({name: pa.concat_tables(part[name] for part in parts) for name in DEALING_ORDER}, split.summary)


def source_rows(split: pa.Table) -> list[int]:
    return split["source_row"].to_pylist()


@pytest.fixture(scope="module")
def chapter_records(shared_data: Path) -> pa.Table:
    rows = json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text(encoding="utf-8"))
    full = [{**row, "id": str(place), "category": None, "source_row": place} for place, row in enumerate(rows)]
    return pa.Table.from_pylist(full, schema=RECORDS)


def test_file_order_without_grouping_is_the_chapters_cut(chapter_records: pa.Table) -> None:
    split = divided(chapter_records, params())
    assert source_rows(split.tables["train"]) == list(range(935))
    assert source_rows(split.tables["test"]) == list(range(935, 1045))
    assert source_rows(split.tables["validation"]) == list(range(1045, 1100))
    assert split.summary == {
        "rows": {"train": 935, "test": 110, "validation": 55},
        "near_duplicate_groups": None,
        "rows_in_groups": None,
        "rows_moved": 0,
    }


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_no_instruction_and_input_stands_in_two_splits(chapter_records: pa.Table, order: str) -> None:
    split = divided(chapter_records, params(group_near_duplicates=True, order=order))
    keys = {
        name: set(zip(part["instruction"].to_pylist(), part["input"].to_pylist(), strict=True))
        for name, part in split.tables.items()
    }
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["validation"]
    assert not keys["test"] & keys["validation"]
    assert sum(split.summary["rows"].values()) == 1100
    assert split.summary["near_duplicate_groups"] > 20
    assert (split.summary["rows_moved"] > 0) == (order == "file")


def test_a_group_goes_where_its_first_row_falls() -> None:
    texts = distinct(20)
    texts[19] = texts[18] = texts[3]
    split = divided(table(texts), params(train=0.5, test=0.25, group_near_duplicates=True))
    assert source_rows(split.tables["train"]) == [*range(10), 18, 19]
    assert source_rows(split.tables["test"]) == [*range(10, 15)]
    assert source_rows(split.tables["validation"]) == [*range(15, 18)]
    assert split.summary["near_duplicate_groups"] == 1
    assert split.summary["rows_in_groups"] == 3
    assert split.summary["rows_moved"] == 2


def test_shuffled_depends_on_the_seed_alone_and_keeps_the_source_order_inside() -> None:
    records = table(distinct(100))
    first, again, other = (divided(records, params(order="shuffled", seed=seed)) for seed in (1, 1, 2))
    assert first.tables["test"].equals(again.tables["test"])
    assert source_rows(first.tables["test"]) != source_rows(other.tables["test"])
    assert source_rows(first.tables["train"]) == sorted(source_rows(first.tables["train"]))
    assert first.summary["rows"] == {"train": 85, "test": 10, "validation": 5}


def test_the_shuffle_of_a_seed_does_not_change_between_versions() -> None:
    split = divided(table(distinct(20)), params(order="shuffled", train=0.5, test=0.25))
    assert source_rows(split.tables["test"]) == [0, 6, 9, 12, 18]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 5))
def test_dealing_keeps_groups_whole_and_fills_the_shares(members: list[int], seed: int) -> None:
    first_row: dict[int, int] = {}
    groups = np.array([first_row.setdefault(group, row) for row, group in enumerate(members)])
    rows = len(groups)
    sizes = (rows // 2, rows // 4, rows - rows // 2 - rows // 4)
    assigned = deal(shuffled(groups, seed), groups, sizes)
    for group in np.unique(groups):
        assert len(set(assigned[groups == group].tolist())) == 1
    largest = np.bincount(groups).max()
    for place, size in enumerate(sizes):
        assert abs(int((assigned == place).sum()) - size) < 3 * largest


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_a_split_that_would_be_empty_is_refused(order: str) -> None:
    with pytest.raises(UserError, match=r"the test split would be empty: 5 records .* split\.test"):
        divided(table(distinct(5)), params(order=order))
    with pytest.raises(UserError, match="in 1 groups"):
        divided(table(["same text"] * 50), params(order=order, group_near_duplicates=True))


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_rows_beyond_the_cap_on_test_rows_are_trained_on(order: str) -> None:
    uncapped = divided(table(distinct(100)), params(order=order)).summary["rows"]
    capped = divided(table(distinct(100)), params(order=order, max_test_rows=4)).summary["rows"]
    assert uncapped == {"train": 85, "test": 10, "validation": 5}
    assert capped == {"train": 91, "test": 4, "validation": 5}
    assert divided(table(distinct(100)), params(order=order, max_test_rows=50)).summary["rows"] == uncapped


def test_groups_are_listed_with_their_splits_the_largest_first() -> None:
    texts = distinct(80)
    texts[78], texts[79], texts[20] = texts[0], texts[0], texts[1]
    records = table(texts)
    split = split_records(records.to_batches(max_chunksize=7), params(group_near_duplicates=True))
    groups = split.grouped(records.to_batches(max_chunksize=7))
    assert [[row["source_row"] for row in group["rows"]] for group in groups] == [[0, 78, 79], [1, 20]]
    assert {row["split"] for row in groups[0]["rows"]} == {"train"}
    assert groups[1]["rows"][0]["instruction"] == texts[1]


def test_a_file_sorted_by_category_is_noticed() -> None:
    kinds = ["translate"] * 50 + ["summarize"] * 50
    rows = [
        {"id": str(row), "instruction": text, "input": "", "output": "x", "category": kind, "source_row": row}
        for row, (text, kind) in enumerate(zip(distinct(100), kinds, strict=True))
    ]
    batches = pa.Table.from_pylist(rows, schema=RECORDS).to_batches(max_chunksize=7)
    half = params(train=0.5, test=0.3)
    assert sorted_by_category(batches, split_records(batches, half).assigned) == (30, 30)
    assert sorted_by_category(batches, split_records(batches, params()).assigned) == (10, 0)

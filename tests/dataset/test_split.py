"""Dividing records: the chapter's cut, whole groups, shares, determinism."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import CONVERSATIONS, RECORDS, RECORDS_WITH_SOURCE
from reprotune.dataset.dealing import DEALING_ORDER, deal, shuffled, split_sizes
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


def test_sizes_are_shares_or_counts() -> None:
    def sizes(rows: int, **changes: object) -> tuple[int, int, int]:
        return split_sizes(rows, params(**changes))

    assert sizes(1000) == (850, 100, 50)
    assert sizes(1000, train=None, test=100, validation=50) == (850, 100, 50)
    assert sizes(1000, train=0.5, test=None, validation=20) == (500, 480, 20)
    assert sizes(999, train=0.8, test=0.13, validation=0.07) == (799, 129, 71)
    assert sizes(1000, train=900, test=60, validation=40) == (900, 60, 40)
    assert sizes(1000, train=None, test=100, validation=50, max_test_rows=30) == (920, 30, 50)
    with pytest.raises(UserError, match="come to 1000 rows, but there are 1001 to divide: set one of them to null"):
        sizes(1001, train=900, test=60, validation=40)
    with pytest.raises(UserError, match="ask for more than the 100 rows"):
        sizes(100, train=None, test=90, validation=20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 1.5}, "split.train is 1.5: it should be a share of the rows, at least 0 and below 1, or a number"),
        ({"test": True}, "split.test is true: it should be a share"),
        ({"test": -1}, "split.test is -1: it should be a share"),
        ({"train": 0.9}, r"train \+ test should be below 1, so that validation gets rows"),
        ({"train": None}, "train and validation are null, but only one of them should be null"),
        ({"validation": 0.5}, r"train \+ test \+ validation should be 1"),
        ({"order": "hashed", "test": 100}, "should be shares with order: hashed"),
        ({"order": "hashed", "max_test_rows": 5}, "max_test_rows should be null and stratify false"),
        ({"order": "hashed", "stratify": True}, "max_test_rows should be null and stratify false"),
    ],
)
def test_sizes_that_cannot_be_meant(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        params(**changes)


def hashed_rows(instructions: list[str]) -> pa.Table:
    """Records with ids as `fetch` makes them."""
    ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in instructions]
    return table(instructions).set_column(0, RECORDS.field("id"), [ids])


def places_of(instructions: list[str], **changes: object) -> dict[str, str]:
    settings = params(order="hashed", train=0.6, test=0.2, **changes)
    tables = divided(hashed_rows(instructions), settings).tables
    return {text: name for name, part in tables.items() for text in part["instruction"].to_pylist()}


@given(
    st.sets(st.integers(0, 900), min_size=40, max_size=60), st.sets(st.integers(1000, 2000), max_size=40), st.booleans()
)
def test_rows_that_are_added_move_none_between_hashed_splits(old: set[int], new: set[int], group: bool) -> None:
    texts = distinct(2001)
    before = places_of([texts[row] for row in sorted(old)], group_near_duplicates=group)
    after = places_of([texts[row] for row in sorted(old | new, reverse=True)], group_near_duplicates=group)
    assert {text: after[text] for text in before} == before


def test_hashed_splits_keep_their_shares_and_follow_the_seed() -> None:
    texts = [f"{number:05} {hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(4000)]
    for group in (True, False):
        places = places_of(texts, group_near_duplicates=group)
        shares = [sum(place == name for place in places.values()) / 4000 for name in DEALING_ORDER]
        assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    assert places_of(texts, seed=124) != places_of(texts, seed=123)


def test_a_group_goes_where_its_smallest_member_would_go_alone() -> None:
    base = [f"Please explain to me what the number {chr(0x4E00 + row) * 40} means" for row in range(30)]
    alike = [text + "." for text in base]
    alone = places_of(base + alike, group_near_duplicates=False)
    grouped = places_of(base + alike, group_near_duplicates=True, near_duplicate_similarity=0.8)
    ids = {text: hashlib.sha256(text.encode()).hexdigest()[:16] for text in alone}
    for text, other in zip(base, alike, strict=True):
        assert grouped[text] == grouped[other] == alone[min(text, other, key=ids.__getitem__)]


@pytest.mark.parametrize("order", ["file", "shuffled"])
def test_strata_have_their_share_of_each_split(order: str) -> None:
    """Also in a file that is sorted by category, and where a category has few rows."""
    categories = ["a"] * 500 + ["b"] * 100 + ["c"] * 20 + [None] * 20 + ["d"]
    records = table(distinct(len(categories)))
    records = records.set_column(records.schema.get_field_index("category"), RECORDS.field("category"), [categories])
    settings = params(order=order, stratify=True, train=0.8, test=0.1)
    tables = divided(records, settings).tables
    assert [tables[name].num_rows for name in DEALING_ORDER] == list(split_sizes(len(categories), settings))
    for category, count in Counter(categories).items():
        for name, share in (("train", 0.8), ("test", 0.1), ("validation", 0.1)):
            assert abs(tables[name]["category"].to_pylist().count(category) - share * count) <= 1


def with_sources(instructions: list[str], sources: list[str]) -> pa.Table:
    return table(instructions).append_column(RECORDS_WITH_SOURCE.field("source"), [sources])


FIXED = {"exam": "test", "dev": "validation", "extra": "train"}


@pytest.mark.parametrize("contamination", ["report", "remove"])
@pytest.mark.parametrize("group", [True, False])
def test_sources_with_roles_stay_whole_and_contamination_is_counted(contamination: str, group: bool) -> None:
    texts = distinct(20)
    rows = [*texts, texts[0], texts[1], texts[2], "about extra", texts[3], "only in the exam"]
    names = ["mine"] * 20 + ["exam", "exam", "dev", "extra", "extra", "exam"]
    settings = params(train=None, test=0, validation=0, contamination=contamination, group_near_duplicates=group)
    records = with_sources(rows, names)
    split = split_records(records.to_batches(max_chunksize=7), settings, FIXED)
    [parts] = split.parts(records.to_batches())
    assert set(parts["test"]["source"].to_pylist()) == {"exam"} and parts["test"].num_rows == 3
    assert set(parts["validation"]["source"].to_pylist()) == {"dev"} and parts["validation"].num_rows == 1
    removed = 3 if contamination == "remove" else 0
    assert split.summary["contamination"] == {
        "train_rows_like_test": 2,
        "train_rows_like_validation": 1,
        "removed": removed,
    }
    assert parts["train"].num_rows == 22 - removed == split.summary["rows"]["train"]
    assert split.summary["sources"]["extra"] == {"train": 2, "test": 0, "validation": 0}
    if removed:
        assert not set(parts["train"]["instruction"].to_pylist()) & set(texts[:3])
        shown = {row["split"] for listed in split.grouped(records.to_batches()) for row in listed["rows"]}
        assert shown == {"train", "test", "validation", "(removed)"}


def test_a_split_with_a_source_of_its_own_takes_no_other_rows() -> None:
    records = with_sources(distinct(40), ["mine"] * 39 + ["exam"])
    with pytest.raises(UserError, match=r"has the role test, but split\.test is 0\.1, so .* set split\.test to 0"):
        split_records(records.to_batches(), params(), FIXED)


def test_conversations_are_grouped_by_what_the_user_says() -> None:
    def row(number: int, *contents: str) -> dict[str, object]:
        roles = ["system", "user", "assistant", "user", "assistant"]
        messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
        return {"id": f"r{number}", "messages": messages, "category": None, "source_row": number}

    texts = distinct(40)
    rows = [row(number, "Be brief.", text, f"answer {number}", "and more?", "no") for number, text in enumerate(texts)]
    rows[39] = row(39, "Be long.", texts[0], "another answer", "and more?", "yes")
    records = pa.Table.from_pylist(rows, schema=CONVERSATIONS)
    split = split_records(records.to_batches(), params(group_near_duplicates=True))
    assert split.summary["near_duplicate_groups"] == 1
    assert split.assigned[39] == split.assigned[0]
    [listed] = split.grouped(records.to_batches())
    assert [shown["asked"] for shown in listed["rows"]] == [f"{texts[0]}\nand more?"] * 2

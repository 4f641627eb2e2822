"""Which rows become records, under which ids, and what is said about the others."""

import json
from contextlib import nullcontext
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import RECORDS, REJECTED
from reprotune.dataset.sources.readers import SourceRow, Unreadable
from reprotune.errors import UserError
from reprotune.params.sections.dataset import DatasetParams
from tests.builders.datasets import dataset_params, normalizer_of

GOOD = {"instruction": "Add.", "input": "1 and 2", "output": "3", "category": "sums"}


def params(columns: dict[str, str] | None = None, **changes: Any) -> DatasetParams:
    return dataset_params(columns=columns or {}, **{"max_chars": 50, **changes})


def normalize(
    rows: list[SourceRow], **changes: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    normalizer = normalizer_of(params(**changes))
    records, rejected = normalizer.normalize(rows)
    return records, rejected, normalizer.finish()


def test_usable_row() -> None:
    records, rejected, summary = normalize([GOOD])
    # printf '4:Add.7:1 and 21:3' | sha256sum | cut -c1-16: ids must not change between versions.
    assert records == [{"id": "ebc0a7d2d285c259", **GOOD, "source_row": 0}]
    assert rejected == []
    assert summary == {"rows": 1, "records": 1, "rejected": 0, "reasons": {}}


def test_text_is_kept_as_it_is() -> None:
    row = {"instruction": " a\r\n", "input": "\tb ", "output": "  <|endoftext|>\u00a0"}
    records, _, _ = normalize([row])
    assert {role: records[0][role] for role in row} == row


@pytest.mark.parametrize("empty", [{}, {"input": None}, {"input": ""}, {"input": " \n\t\u3000"}])
def test_input_may_be_missing_null_or_blank(empty: dict[str, Any]) -> None:
    records, _, _ = normalize([{"instruction": "a", "output": "b"} | empty])
    assert records[0]["input"] == ""


@pytest.mark.parametrize(
    ("category", "expected"), [(None, None), ("", None), (" ", None), (7, "7"), ("spelling", "spelling")]
)
def test_category(category: Any, expected: str | None) -> None:
    assert normalize([GOOD | {"category": category}])[0][0]["category"] == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"instruction": None}, "instruction is missing"),
        ({"output": ""}, "output is empty"),
        ({"output": " \n"}, "output is empty"),
        ({"instruction": ["a"]}, "instruction is not text but list"),
        ({"input": 3}, "input is not text but int"),
        ({"output": True}, "output is not text but bool"),
        ({"category": 0.5}, "category is not text but float"),
        ({"category": True}, "category is not text but bool"),
        ({"output": "x" * 51}, "output is longer than max_chars (50)"),
        ({"input": "x" * 51}, "input is longer than max_chars (50)"),
        ({"output": "\ud83d"}, "text holds half of a surrogate pair, which is no character"),
        ({"category": "\ud83d"}, "text holds half of a surrogate pair, which is no character"),
    ],
)
def test_unusable_rows(change: dict[str, Any], reason: str) -> None:
    bad = GOOD | change
    records, rejected, summary = normalize([GOOD, bad, GOOD])
    assert [record["source_row"] for record in records] == [0, 2]
    assert [(row["source_row"], row["reason"]) for row in rejected] == [(1, reason)]
    assert json.loads(rejected[0]["raw"]) == bad
    assert summary == {"rows": 3, "records": 2, "rejected": 1, "reasons": {reason: 1}}
    pa.Table.from_pylist(records, schema=RECORDS)
    pa.Table.from_pylist(rejected, schema=REJECTED)


def test_row_of_exactly_max_chars_is_usable() -> None:
    assert normalize([GOOD | {"output": "x" * 50}])[2]["records"] == 1


def test_absent_column_and_unreadable_row() -> None:
    _, rejected, _ = normalize([GOOD, {"instruction": "a"}, Unreadable("not a JSON object", "[1]")])
    assert rejected[0]["reason"] == "output is missing"
    assert rejected[1] == {"source_row": 2, "reason": "not a JSON object", "raw": "[1]"}


def test_values_that_json_lacks_are_kept_as_text() -> None:
    _, rejected, _ = normalize([GOOD, GOOD | {"output": date(2024, 1, 2)}])
    assert json.loads(rejected[0]["raw"])["output"] == "2024-01-02"


def test_repeats_get_numbered_ids_across_batches() -> None:
    normalizer = normalizer_of(params())
    first, _ = normalizer.normalize([GOOD, GOOD])
    second, _ = normalizer.normalize([GOOD | {"category": "other"}])
    digest = first[0]["id"]
    assert [record["id"] for record in first + second] == [digest, f"{digest}-2", f"{digest}-3"]
    assert second[0]["source_row"] == 2


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda text: not text.isspace())


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=10))
def test_same_id_only_for_same_texts(triples: list[tuple[str, str, str]]) -> None:
    rows: list[SourceRow] = [dict(zip(("instruction", "input", "output"), triple, strict=True)) for triple in triples]
    records, _, _ = normalize(rows)
    assert len({record["id"] for record in records}) == len(rows)
    assert len({record["id"].split("-")[0] for record in records}) == len(set(triples))


def test_text_cannot_move_between_columns() -> None:
    records, _, _ = normalize([{"instruction": "a", "input": "bc", "output": "d"}, GOOD | {"instruction": "ab"}])
    moved, _, _ = normalize([{"instruction": "ab", "input": "c", "output": "d"}])
    assert moved[0]["id"] not in [record["id"] for record in records]


def test_column_mapping() -> None:
    row = {"question": "q", "context": "c", "answer": "a", "kind": "k", "instruction": "not this"}
    columns = {"instruction": "question", "input": "context", "output": "answer", "category": "kind"}
    records, _, _ = normalize([row], columns=columns)
    assert [records[0][role] for role in columns] == ["q", "c", "a", "k"]


@pytest.mark.parametrize("role", ["instruction", "input", "output", "category"])
@pytest.mark.parametrize("on_bad_row", ["reject", "fail"])
def test_mapped_column_that_no_row_has(role: str, on_bad_row: str) -> None:
    message = f"no column 'nowhere', only 'instruction', 'input', 'output', 'category': .*columns.{role}"
    with pytest.raises(UserError, match=message):
        normalize([GOOD, GOOD], columns={role: "nowhere"}, on_bad_row=on_bad_row)


def test_on_bad_row_fail_names_the_row() -> None:
    with pytest.raises(UserError, match=r"row 2 \(counting from 0\) is unusable: output is empty"):
        normalize([GOOD, GOOD, GOOD | {"output": ""}, GOOD], on_bad_row="fail")


@pytest.mark.parametrize(("fraction", "fails"), [(0.0, True), (0.24, True), (0.25, False), (1.0, False)])
def test_max_rejected_fraction(fraction: float, fails: bool) -> None:
    rows: list[SourceRow] = [GOOD, GOOD | {"output": ""}, GOOD, GOOD]
    sentence = r"1 of 4 rows are unusable, the first is row 1 .*: output is empty \(1 row\)"
    with pytest.raises(UserError, match=sentence) if fails else nullcontext():
        assert normalize(rows, max_rejected_fraction=fraction)[2]["rejected"] == 1


def test_the_place_of_a_fault_is_said_but_not_counted_apart() -> None:
    rows: list[SourceRow] = [GOOD, *(Unreadable("cut", "{", f"character {place}") for place in (7, 9))]
    _, rejected, summary = normalize(rows)
    assert [row["reason"] for row in rejected] == ["cut (character 7)", "cut (character 9)"]
    assert summary["reasons"] == {"cut": 2}
    for changes in ({"max_rejected_fraction": 0.0}, {"on_bad_row": "fail"}):
        with pytest.raises(UserError, match=r"row 1 \(counting from 0, character 7\)(: cut| is unusable: cut)"):
            normalize(rows, **changes)


def test_nothing_usable() -> None:
    with pytest.raises(UserError, match="2 of 2 rows are unusable"):
        normalize([GOOD | {"output": ""}, GOOD | {"output": 1}])
    with pytest.raises(UserError, match="1 of 1 rows are unusable"):
        normalize([Unreadable("not a JSON object", "[]")])
    with pytest.raises(UserError, match="holds no rows"):
        normalize([])


@pytest.mark.parametrize("role", ["instruction", "input", "category"])
def test_a_column_in_other_letters_is_not_taken_for_missing(role: str) -> None:
    """`Input` would otherwise vanish without a word, since a dataset may have no input."""
    row = {(name.capitalize() if name == role else name): text for name, text in GOOD.items()}
    with pytest.raises(UserError, match=rf"did you mean '{role.capitalize()}'.*columns\.{role}"):
        normalize([row])


def test_columns_that_play_no_part_are_counted_out() -> None:
    assert "unused_columns" not in normalize([GOOD])[2]
    rows = [GOOD | {"history": [], "system": "x"}, GOOD | {"other": 1}]
    assert normalize(rows)[2]["unused_columns"] == ["history", "system", "other"]

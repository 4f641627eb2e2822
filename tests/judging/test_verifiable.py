"""Figures of checks: strict and loose, by row and by check, always beside what trivial answers get."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import CHECKED_RECORDS, RECORDS, write_table
from reprotune.dataset.checks import Check, parsed_checks
from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.contracts import CHECKED
from reprotune.judging.questions.prompts import Item
from reprotune.judging.verifiable import check_answers, checked_rows, loosened, read_checks, summarise_checks

LOWER: dict[str, Any] = {"kind": "case", "case": "lower"}
SHORT: dict[str, Any] = {"kind": "words", "at_most": 3}


def answers(*rows: tuple[str, str, str]) -> list[Answer]:
    """Answers given as (instruction, the base model's, the fine-tuned model's)."""
    return [
        Answer(model, f"r{number}", None, Item(instruction, "", "right", text))
        for number, (instruction, *texts) in enumerate(rows)
        for model, text in zip(("base", "finetuned"), texts, strict=True)
    ]


def checks(*rows: list[dict[str, Any]]) -> dict[str, list[Check]]:
    return {f"r{number}": parsed_checks(row) for number, row in enumerate(rows) if row}


def test_the_four_figures_by_hand() -> None:
    given_answers = answers(
        ("say it", "Loud And Very Long Indeed", "soft"),  # neither check; both
        ("Be Brief", "one two three four", "Here:\nquiet"),  # lower only; loosely both, strictly short alone
        ("unchecked", "x", "y"),
    )
    found = summarise_checks(check_answers(given_answers, checks([LOWER, SHORT], [LOWER, SHORT], [])), 123)
    assert (found["n"], found["n_checks"]) == (2, 4)
    figures = {
        model: [found[model][key] for key in ("rows_strict", "rows_loose", "checks_strict", "checks_loose")]
        for model in ("base", "finetuned", "echo", "empty")
    }
    assert figures == {
        "base": [0, 0, 0.25, 0.25],
        "finetuned": [0.5, 1, 0.75, 1],
        "echo": [0.5, 0.5, 0.75, 0.75],  # "say it" complies with both, "Be Brief" is short
        "empty": [0, 0, 0, 0],
    }
    assert found["difference"]["rows_strict"] == 0.5 and found["difference"]["verdict"] == "too few rows"
    assert found["kinds"] == {
        "case": {"n": 2, "base": 0.5, "finetuned": 0.5, "echo": 0.5},
        "words": {"n": 2, "base": 0, "finetuned": 1, "echo": 1},
    }


def test_eight_variants() -> None:
    assert len(loosened("a\nb\nc")) == 8
    assert Counter(loosened("*a*\nb\nc")) == Counter(
        ["*a*\nb\nc", "a\nb\nc", "b\nc", "b\nc", "*a*\nb", "a\nb", "b", "b"]
    )
    assert set(loosened("only")) == {"only", ""}  # and no text complies with nothing


texts = st.text("aB ,.\n*-", max_size=20)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=8))
def test_trivial_answers_are_always_there_and_loose_is_never_below_strict(rows: list[tuple[str, str, str]]) -> None:
    wanted = checks(*([LOWER, SHORT, {"kind": "no_commas"}] for _ in rows))
    found = summarise_checks(check_answers(answers(*rows), wanted), 123)
    assert {"base", "finetuned", "echo", "empty"} <= found.keys()
    for model in ("base", "finetuned", "echo", "empty"):
        one = found[model]
        assert 0 <= one["rows_strict"] <= one["rows_loose"] <= one["checks_loose"] <= 1
        assert one["rows_strict"] <= one["checks_strict"] <= one["checks_loose"]
        assert one["rows_strict_low"] - 1e-9 <= one["rows_strict"] <= one["rows_strict_high"] + 1e-9
    assert all(share == 0 for key, share in found["empty"].items() if not key.startswith("rows_strict_"))
    echoed = [check_answers(answers((row[0], row[0], row[0])), checks([LOWER])) for row in rows]
    assert all(len({answer.strict for answer in one if answer.model != "empty"}) == 1 for one in echoed)


def test_the_table_has_every_check_of_every_answer() -> None:
    checked = check_answers(answers(("Say it.", "A", "b")), checks([LOWER, SHORT]))
    rows = checked_rows(checked)
    pa.Table.from_pylist(rows, schema=CHECKED)
    assert [(row["model"], row["place"], row["kind"], row["strict"]) for row in rows] == [
        ("base", 0, "case", False),
        ("base", 1, "words", True),
        ("finetuned", 0, "case", True),
        ("finetuned", 1, "words", True),
        ("echo", 0, "case", False),
        ("echo", 1, "words", True),
    ]


def test_checks_come_with_the_records(tmp_path: Path) -> None:
    record: dict[str, Any] = {"instruction": "i", "input": "", "output": "o", "category": None, "source_row": 0}
    path = tmp_path / "test.parquet"
    write_table(path, pa.Table.from_pylist([{"id": "a", **record}], schema=RECORDS))
    assert read_checks(path) == {}
    rows = [{"id": "a", **record, "checks": '[{"kind": "no_commas"}]'}, {"id": "b", **record, "checks": None}]
    write_table(path, pa.Table.from_pylist(rows, schema=CHECKED_RECORDS))
    assert list(read_checks(path)) == ["a"]
    write_table(path, pa.Table.from_pylist([rows[0] | {"checks": "[{}]"}], schema=CHECKED_RECORDS))
    with pytest.raises(UserError, match=r"test\.parquet: row a: check 0 has no kind: run `dvc repro`"):
        read_checks(path)

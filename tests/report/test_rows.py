"""The table of all rows: complete, inert in a spreadsheet, and nothing lost by it."""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.report.rows import COLUMNS, inert, rows_csv
from reprotune.results.read import load_results
from tests.builders.run import HOSTILE


def original(cell: str) -> str:
    """Undo `inert`, as the manual says it is done."""
    return re.sub(r"⟨U\+([0-9A-F]{4,6})⟩", lambda match: chr(int(match[1], 16)), cell.removeprefix("'"))


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("=+-@'\t\r\n ⟨U+0123⟩\u202e\0ab"))
def test_no_text_is_a_formula_and_every_text_can_be_restored(text: str) -> None:
    cell = inert(text)
    assert not re.match(r"\s*[=+\-@＝＋－＠]", cell)
    assert not cell.startswith(("\t", "\r", "\n"))
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff]", cell)
    assert original(cell) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://x", A1)', '\'=HYPERLINK("http://x", A1)'),
        ("-1", "'-1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("\rthen", "⟨U+000D⟩then"),
        ("'quoted'", "''quoted'"),
        ("a = b", "a = b"),
        ("⟨U+0007⟩", "⟨U+27E8⟩U+0007⟩"),
        ("über\nzwei Zeilen", "über\nzwei Zeilen"),
    ],
)
def test_only_what_is_active_is_changed(text: str, cell: str) -> None:
    assert inert(text) == cell


def test_every_row_is_there_with_both_answers_and_numbers(workspace: Path) -> None:
    rows = load_results(workspace / "data").rows
    text = rows_csv(rows)
    assert text.startswith("\ufeff"), "Excel reads it as UTF-8 only then"
    lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert list(lines[0]) == list(COLUMNS)
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert (line["id"], int(line["number"])) == (row.id, row.number)
        assert original(line["category"]) == (row.category or "")
        assert original(line["finetuned_response"]) == row.finetuned.response
        assert float(line["base_score"]) == row.base.score
        assert float(line["gain"]) == row.gain
        assert line["finetuned_chrf"] == "0.5"
    assert {original(line["reference"]) for line in lines} >= set(HOSTILE)


def test_pandas_reads_it_as_it_is(workspace: Path) -> None:
    rows = load_results(workspace / "data").rows
    path = workspace / "rows.csv"
    path.write_text(rows_csv(rows), encoding="utf-8", newline="\n")
    table = pd.read_csv(path, keep_default_na=False)
    assert list(table.columns) == list(COLUMNS)
    assert [original(text) for text in table["base_response"]] == [row.base.response for row in rows]
    assert table["gain"].tolist() == pytest.approx([row.gain for row in rows])

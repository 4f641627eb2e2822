"""The answers of repeats read back."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from reprotune.artifacts import STATISTICS, write_table
from reprotune.errors import UserError
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.values import read_values


def answers(seeds: Sequence[int], rows: int, unscored: bool = False) -> pa.Table:
    table = [
        {"seed": seed, "row": f"r{row}", "category": None, "response": "x", "status": "ok", "score": 10.0 * row + seed}
        | dict.fromkeys(STATISTICS, 0.5)
        for seed in seeds
        for row in range(rows)
    ]
    if unscored:
        table[0]["score"] = None
    return pa.Table.from_pylist(table, schema=ANSWERS)


def test_values_are_read_by_row_and_seed(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", answers([7, 8], 3, unscored=True))
    found = read_values(tmp_path / "a.parquet")
    assert list(found.seeds) == [7, 8]
    assert found.values["score"] == {"r1": [17.0, 18.0], "r2": [27.0, 28.0]}
    assert found.values["chrf"]["r0"] == [0.5, 0.5]


@pytest.mark.parametrize("missing", [True, False])
def test_a_row_that_a_seed_answered_not_at_all_or_twice_is_refused(tmp_path: Path, missing: bool) -> None:
    table = answers([7, 8], 3)
    write_table(tmp_path / "a.parquet", table.slice(1) if missing else pa.concat_tables([table, table.slice(0, 1)]))
    with pytest.raises(UserError, match="not every seed has one answer to row r0"):
        read_values(tmp_path / "a.parquet")

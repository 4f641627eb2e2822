"""Stage `split` as a process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from reprotune.artifacts import RECORDS, read_table, write_table


def write_records(folder: Path, rows: list[dict[str, Any]]) -> None:
    full = [
        {"id": str(place), "instruction": "", "input": "", "output": "x", "category": None, "source_row": place, **row}
        for place, row in enumerate(rows)
    ]
    write_table(folder / "data/raw/records.parquet", pa.Table.from_pylist(full, schema=RECORDS))


def test_the_chapters_data_and_the_same_bytes_twice(
    tmp_path: Path, shared_data: Path, run_stage: Callable[..., Any], read_bytes: Callable[[str], dict[str, bytes]]
) -> None:
    write_records(tmp_path, json.loads((shared_data / "llms-from-scratch/instruction-data.json").read_text("utf-8")))
    done = run_stage("split", train=0.85, test=0.1, group_near_duplicates=False)
    assert done.returncode == 0, done.stderr
    assert "935 train, 110 test, 55 validation" in done.stderr
    test = read_table(tmp_path / "data/split/test.parquet", RECORDS)
    assert test["source_row"].to_pylist() == list(range(935, 1045))
    first = read_bytes("data/split")
    assert set(first) == {"train.parquet", "validation.parquet", "test.parquet", "summary.json"}
    run_stage("split", train=0.85, test=0.1, group_near_duplicates=False)
    assert read_bytes("data/split") == first


def test_near_duplicates_are_reported(tmp_path: Path, run_stage: Callable[..., Any]) -> None:
    rows = [{"instruction": chr(0x4E00 + place) * 9} for place in range(30)]
    rows[29] = rows[0]
    write_records(tmp_path, rows)
    done = run_stage("split")
    assert "2 rows in 1 group of near-duplicates; 1 row moved" in done.stderr
    assert "data/split/near_duplicates.jsonl lists them" in done.stderr
    [group] = map(json.loads, (tmp_path / "data/split/near_duplicates.jsonl").read_text("utf-8").splitlines())
    assert [row["source_row"] for row in group["rows"]] == [0, 29]
    summary = json.loads((tmp_path / "data/split/summary.json").read_text())
    assert summary["rows"] == {"train": 25, "test": 3, "validation": 2}


def test_too_few_records_is_one_sentence_and_keeps_the_old_folder(
    tmp_path: Path, run_stage: Callable[..., Any]
) -> None:
    write_records(tmp_path, [{"instruction": "a"}, {"instruction": "b"}])
    (tmp_path / "data/split").mkdir()
    (tmp_path / "data/split/train.parquet").write_text("old")
    done = run_stage("split")
    assert done.returncode == 1
    assert done.stderr.startswith("split: error: the test split would be empty: 2 records")
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "data/split").iterdir()] == ["train.parquet"]


def test_a_sorted_file_and_missed_shares_are_told(tmp_path: Path, run_stage: Callable[..., Any]) -> None:
    rows = [{"instruction": chr(0x4E00 + place) * 9, "category": f"kind {place // 25}"} for place in range(100)]
    for place in range(75, 86):
        rows[place] = {"instruction": rows[0]["instruction"]}
    write_records(tmp_path, rows)
    done = run_stage("split", train=0.75, test=0.15)
    assert done.returncode == 0, done.stderr
    assert "86.0% of the rows are for train, although split.train is 75.0%" in done.stderr
    assert "test rows have a category that no training row has" in done.stderr
    assert "set split.order to shuffled" in done.stderr

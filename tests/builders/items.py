"""Items of a benchmark, made here or read from the CSV files in which MMLU is published."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from reprotune.artifacts import write_table
from reprotune.multiple_choice.contracts import ITEM, ITEMS, SHOT

LETTERS = "ABCD"


def item(question: str, choices: Sequence[str], answer: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a row of `ITEMS`; its id depends on what it asks."""
    asked = [changes.get("subject", "exam"), changes.get("context"), question, list(choices)]
    return {
        "id": hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16],
        "task": "exam",
        "subject": "exam",
        "group": None,
        "context": None,
        "question": question,
        "choices": list(choices),
        "answer": answer,
        "role": ITEM,
        "source_row": 0,
    } | changes


def mmlu_items(folder: Path, subject: str) -> list[dict[str, Any]]:
    """Return the rows of one subject, its examples first."""
    rows: list[dict[str, Any]] = []
    for split, role in (("dev", SHOT), ("test", ITEM)):
        with (folder / f"{subject}_{split}.csv").open(encoding="utf-8", newline="") as file:
            for question, *choices, letter in csv.reader(file):
                place = len(rows)
                row = item(question, choices, LETTERS.index(letter), task="mmlu", subject=subject, role=role)
                rows.append(row | {"id": f"{row['id']}-{place}", "source_row": place})
    return rows


def write_items(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write data/benchmark/items.parquet or its like."""
    write_table(path, pa.Table.from_pylist(list(rows), schema=ITEMS))

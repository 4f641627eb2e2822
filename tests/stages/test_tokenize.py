"""Stage `tokenize` as a process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reprotune.artifacts import FORMATTED, TOKENS, read_table, write_table


@pytest.fixture(autouse=True)
def base(tmp_path: Path, gpt2_folder: Path) -> None:
    """GPT-2's tokenizer."""
    shutil.copytree(gpt2_folder, tmp_path / "data/base")


@pytest.fixture(autouse=True)
def formatted_files(tmp_path: Path) -> None:
    """Three splits of two rows, the second one longer."""
    for split in ("train", "validation", "test"):
        rows = [
            {"id": f"{split}{place}", "prompt": f"Say {text}:\n", "response": text, "header": ""}
            for place, text in enumerate(("one", "one two three four five"))
        ]
        write_table(tmp_path / f"data/formatted/{split}.parquet", pa.Table.from_pylist(rows, schema=FORMATTED))


def test_tokens_and_summary_and_the_same_bytes_twice(
    tmp_path: Path, run_stage: Callable[..., Any], read_bytes: Callable[[str], dict[str, bytes]]
) -> None:
    done = run_stage("tokenize")
    assert done.returncode == 0, done.stderr
    assert "tokenize: test: 2 rows, 20 tokens, 40% of them responses" in done.stderr
    tokens = read_table(tmp_path / "data/tokens/test.parquet", TOKENS).to_pylist()
    assert tokens[0] == {"id": "test0", "prompt_ids": [25515, 530, 25, 198], "response_ids": [505, 50256]}
    summary = json.loads((tmp_path / "data/tokens/summary.json").read_text())
    assert set(summary) == {"train", "validation", "test"}
    assert set(summary["train"]["padding_share"]) == {"static", "dynamic", "bucketed", "packed"}
    first = read_bytes("data/tokens")
    run_stage("tokenize")
    assert read_bytes("data/tokens") == first


def test_a_row_too_long_is_one_sentence(tmp_path: Path, run_stage: Callable[..., Any]) -> None:
    done = run_stage("tokenize", max_length=8, on_too_long="fail")
    assert done.returncode == 1
    assert "data/formatted/train.parquet: row train1 has 14 tokens" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/tokens").exists()

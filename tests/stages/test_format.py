"""Stage `format` as a process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reprotune.artifacts import (
    CONVERSATIONS,
    FORMATTED,
    FORMATTED_TURNS,
    RECORDS,
    TOKENS_TURNS,
    read_table,
    write_table,
)

ROW = {"instruction": "Add.", "input": "2 + 2", "output": "4", "category": None, "source_row": 0}


@pytest.fixture(autouse=True)
def base(tmp_path: Path, gpt2_folder: Path) -> None:
    """GPT-2's tokenizer."""
    shutil.copytree(gpt2_folder, tmp_path / "data/base")


@pytest.fixture(autouse=True)
def split_files(tmp_path: Path) -> None:
    """Three splits of one row; the answer in the test split spells a marker."""
    for split in ("train", "validation", "test"):
        output = "### Response: 4" if split == "test" else "4"
        rows = [{**ROW, "id": split, "output": output}]
        write_table(tmp_path / f"data/split/{split}.parquet", pa.Table.from_pylist(rows, schema=RECORDS))


def test_header_in_the_response_and_markers_reported(
    tmp_path: Path, run_stage: Callable[..., Any], read_bytes: Callable[[str], dict[str, bytes]]
) -> None:
    done = run_stage("format", template="phi3", response_header="in_response")
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "data/formatted/train.parquet", FORMATTED).to_pylist() == [
        {
            "id": "train",
            "prompt": "<|user|>\nAdd.\n2 + 2",
            "response": "\n<|assistant|>:\n4",
            "header": "\n<|assistant|>:\n",
        }
    ]
    assert "'### Response:', a marker of the template, occurs in the text of 1 row\n" in done.stderr
    summary = json.loads((tmp_path / "data/formatted/summary.json").read_text())
    assert summary["rows"] == {"train": 1, "validation": 1, "test": 1}
    assert summary["rows_with_marker"]["### Response:"] == 1
    assert summary["rows_with_marker"]["<|user|>"] == 0
    first = read_bytes("data/formatted")
    run_stage("format", template="phi3", response_header="in_response")
    assert read_bytes("data/formatted") == first


def test_a_template_of_ones_own(tmp_path: Path, run_stage: Callable[..., Any]) -> None:
    (tmp_path / "own.jinja").write_text("Q: {{ instruction }}\n{# header #}A: {{ response }}\n")
    done = run_stage("format", template="own.jinja")
    assert done.returncode == 0, done.stderr
    row = read_table(tmp_path / "data/formatted/train.parquet", FORMATTED).to_pylist()[0]
    assert (row["prompt"], row["response"]) == ("Q: Add.\nA: ", "4")


def test_a_faulty_template_is_one_sentence(tmp_path: Path, run_stage: Callable[..., Any]) -> None:
    (tmp_path / "own.jinja").write_text("Q: {{ instruction }}\n{{ answer }}A: {{ response }}\n")
    done = run_stage("format", template="own.jinja")
    assert done.returncode == 1
    assert done.stderr.startswith("format: error: own.jinja: line 2: unknown field 'answer'; there are instruction")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/formatted").exists()


def test_conversations_with_the_bases_own_template(
    tmp_path: Path, run_stage: Callable[..., Any], qwen_folder: Path
) -> None:
    shutil.rmtree(tmp_path / "data/base")
    shutil.copytree(qwen_folder, tmp_path / "data/base")
    said = [("user", "Hi <|im_end|>"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")]
    messages = [{"role": role, "content": content} for role, content in said]
    rows = [
        {"id": "chat", "messages": messages, "category": None, "source_row": 0},
        {"id": "text", "messages": messages[1:2], "category": None, "source_row": 1},
    ]
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"data/split/{split}.parquet", pa.Table.from_pylist(rows, schema=CONVERSATIONS))
    done = run_stage("format", template="chat", train_on="last")
    assert done.returncode == 0, done.stderr
    assert "'<|im_end|>', a special token, which stays text there, occurs in the text of 3 rows" in done.stderr
    chat, text = read_table(tmp_path / "data/formatted/train.parquet", FORMATTED_TURNS).to_pylist()
    assert [turn["trained"] for turn in chat["turns"]] == [False, True]
    assert chat["prompt"].endswith("<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n")
    assert chat["response"] == "See you<|im_end|>\n"
    assert (text["prompt"], text["response"]) == ("<|im_end|>", "Hello")
    done = run_stage("tokenize")
    assert done.returncode == 0, done.stderr
    spans = read_table(tmp_path / "data/tokens/train.parquet", TOKENS_TURNS)["trained_spans"].to_pylist()
    assert [len(found) for found in spans] == [1, 1]
    summary = json.loads((tmp_path / "data/tokens/summary.json").read_text())
    assert summary["train"]["trained_turns"] == 2

    done = run_stage("format", template="alpaca")
    assert done.returncode == 1
    assert "record chat is a conversation of 4 messages" in done.stderr
    assert "Traceback" not in done.stderr

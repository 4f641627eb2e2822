"""The stage from prompts and a model's folder to responses, with a tiny network and GPT-2's vocabulary."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from reprotune.artifacts import (
    CONVERSATIONS,
    FORMATTED,
    FORMATTED_TURNS,
    RECORDS,
    RESPONSES,
    read_table,
    write_table,
)
from reprotune.compute.blocked_weights import BlockedLinear
from reprotune.compute.device import Compute
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.dataset.tokenizers.gpt2 import decode, encode_batch
from reprotune.errors import UserError
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from stages.generate import main
from tests.builders.params import whole_params

ROOT = Path(__file__).resolve().parents[2]
FP32 = Compute(torch.device("cpu"), torch.float32)
SETTINGS = {
    "max_new_tokens": 6,
    "temperature": 0,
    "top_k": None,
    "top_p": None,
    "seed": 1,
    "batch_size": 3,
    "precision": "fp32",
}
HEADER = "\n\n### Response:\n"
ROWS = [
    {"id": "a", "prompt": "Name a colour.\n", "response": "Red.", "header": ""},
    {"id": "b", "prompt": "Say hello in French, please.\n", "response": f"{HEADER}Bonjour.", "header": HEADER},
    {"id": "c", "prompt": "word " * 40, "response": "Too long for 32 positions.", "header": ""},
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params, test prompts and two models, entered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPROTUNE_DEVICE", "cpu")
    set_params()
    write_table(Path("data/formatted/test.parquet"), pa.Table.from_pylist(ROWS, schema=FORMATTED))
    for seed, name in enumerate(("base", "model")):
        model = Network(ModelConfig(n_layer=2, n_head=2, n_embd=8, n_positions=32))
        model.initialize(torch.Generator().manual_seed(seed))
        save_model(model, Path("data") / name)
    complete_tokenizer_files(Path("data/base"))
    records = [{"id": row["id"], "instruction": "?", "input": "", "output": answer(row)} for row in ROWS]
    table = pa.Table.from_pylist([{**record, "source_row": 0} for record in records], schema=RECORDS)
    write_table(Path("data/split/test.parquet"), table)
    return tmp_path


def answer(row: dict[str, str]) -> str:
    return row["response"].removeprefix(row["header"])


def set_params(**changes: object) -> None:
    Path("params.yaml").write_text(whole_params(json.dumps({"generate": SETTINGS | changes})))


def responses(name: str) -> list[dict[str, object]]:
    return read_table(Path(f"data/responses/{name}.parquet"), RESPONSES).to_pylist()


def test_responses_are_those_of_the_model(project: Path) -> None:
    main("finetuned")
    rows = responses("finetuned")
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["reference"] for row in rows] == ["Red.", "Bonjour.", "Too long for 32 positions."]
    prompt_ids = encode_batch([ROWS[0]["prompt"]])
    expected = generate(load_model(project / "data/model"), prompt_ids, DecodingSettings(6, 1, (50256,)))[0]
    assert rows[0] == {
        "id": "a",
        "prompt": "Name a colour.\n",
        "reference": "Red.",
        "response": decode(expected.token_ids).strip(),
        "prompt_tokens": len(prompt_ids[0]),
        "response_tokens": len(expected.token_ids),
        "finish_reason": expected.finish_reason,
    }
    assert (rows[2]["response"], rows[2]["response_tokens"], rows[2]["finish_reason"]) == ("", 0, "no_room")


def test_each_model_answers_for_itself_and_repeatably(project: Path) -> None:
    set_params(temperature=1.5)
    main("base")
    main("finetuned")
    first = (project / "data/responses/base.parquet").read_bytes()
    main("base")
    assert (project / "data/responses/base.parquet").read_bytes() == first
    assert responses("base")[0]["response"] != responses("finetuned")[0]["response"]


def test_bf16_runs(project: Path) -> None:
    set_params(precision="bf16")
    main("base")
    assert responses("base")[0]["response_tokens"] == 6


@pytest.mark.skipif(
    not Compute(torch.device("cpu"), torch.float32).blocks_weights, reason="needs an x86 processor and oneDNN"
)
def test_a_processor_decodes_with_blocked_matrices(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[object] = []
    monkeypatch.setattr(
        "reprotune.generation.responses.generate",
        lambda model, *rest: heads.append(model.head) or generate(model, *rest),
    )
    main("base")
    assert isinstance(heads[0], BlockedLinear)


def test_empty_test_set_gives_an_empty_file(project: Path) -> None:
    write_table(Path("data/formatted/test.parquet"), FORMATTED.empty_table())
    main("base")
    assert pq.read_schema("data/responses/base.parquet").names == RESPONSES.names
    assert responses("base") == []


def test_missing_model_is_named(project: Path) -> None:
    (project / "data/base/model.safetensors").unlink()
    with pytest.raises(UserError, match="data/base has no model"):
        main("base")


def test_command_line(project: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.generate"]
    done = subprocess.run([*command, "base"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(responses("base")) == 3
    (project / "data/model/config.json").unlink()
    failed = subprocess.run([*command, "finetuned"], env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("generate@finetuned: error: data/model/config.json is missing")


def test_a_conversation_is_answered_after_all_that_comes_before_its_last_answer(project: Path) -> None:
    said = [("user", "Hi <|endoftext|>"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")]
    messages = [{"role": role, "content": content} for role, content in said]
    record = {"id": "a", "messages": messages, "category": None, "source_row": 0}
    write_table(Path("data/split/test.parquet"), pa.Table.from_pylist([record], schema=CONVERSATIONS))
    texts = ["Hi \ue01b<|endoftext|>\n", "Hello<|endoftext|>", "Bye\n", "See you<|endoftext|>"]
    turns = [{"text": text, "trained": place % 2 == 1} for place, text in enumerate(texts)]
    row = {"id": "a", "prompt": "".join(texts[:-1]), "response": texts[-1], "header": "", "turns": turns}
    write_table(Path("data/formatted/test.parquet"), pa.Table.from_pylist([row], schema=FORMATTED_TURNS))
    main("base")
    (answer,) = responses("base")
    assert answer["reference"] == "See you"
    assert answer["prompt"] == "Hi <|endoftext|>\nHello<|endoftext|>Bye\n"
    first, second = encode_batch(["Hi <|endoftext|>\nHello", "Bye\n"])
    assert answer["prompt_tokens"] == len(first) + 1 + len(second)

"""The stage from items, a text and a model's folder to log-probabilities, with a tiny network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from reprotune.artifacts import read_table
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.dataset.tokenizers.gpt2 import encode_batch
from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model
from reprotune.multiple_choice.contracts import CHOICES, DOCUMENTS
from stages.benchmark import main
from tests.builders.items import item, write_items
from tests.builders.params import whole_params

ITEMS = Path("data/benchmark/items.parquet")
SHOTS = [item(f"Town {number} is in", ["France", "Italy"], 1, role="shot") for number in range(2)]
ROWS = [*SHOTS, *(item(f"City {number} is in", ["France", "Italy", "the north of Spain"]) for number in range(4))]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params, items, a text and two models, entered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPROTUNE_DEVICE", "cpu")
    set_params()
    write_items(ITEMS, ROWS)
    Path("text.txt").write_text("One line.\n\nAnother line, which is longer.\n", encoding="utf-8")
    for seed, name in enumerate(("base", "model")):
        model = Network(ModelConfig(n_layer=2, n_head=2, n_embd=8, n_positions=96))
        model.initialize(torch.Generator().manual_seed(seed))
        save_model(model, Path("data") / name)
    complete_tokenizer_files(Path("data/base"))
    return tmp_path


def set_params(**changes: object) -> None:
    params = {"text": "text.txt", "formulations": ["letters", "cloze"]} | changes
    Path("params.yaml").write_text(whole_params(json.dumps({"benchmark": params})))


def choices(name: str) -> list[dict[str, Any]]:
    return read_table(Path(f"data/benchmarked/{name}.parquet"), CHOICES).to_pylist()


def documents(name: str) -> list[dict[str, Any]]:
    return read_table(Path(f"data/benchmarked/{name}_text.parquet"), DOCUMENTS).to_pylist()


def test_each_item_is_asked_in_each_formulation() -> None:
    set_params(shots=2)
    main("finetuned")
    rows = choices("finetuned")
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS[2:]] * 2
    names = ["letters_2shot_plain"] * 4 + ["cloze_2shot_plain"] * 4
    assert [(row["formulation"], row["model"]) for row in rows] == [(name, "finetuned") for name in names]
    assert all(len(row["logprobs"]) == len(row["choice_tokens"]) == 3 for row in rows)
    assert [row["unconditional"] is None for row in rows] == [True] * 4 + [False] * 4
    assert [row["bytes"] for row in documents("finetuned")] == [9, 30]


def test_each_model_is_asked_for_itself_and_repeatably() -> None:
    main("base")
    main("finetuned")
    files = [Path(f"data/benchmarked/{name}") for name in ("base.parquet", "base_text.parquet")]
    first = [path.read_bytes() for path in files]
    main("base")
    assert [path.read_bytes() for path in files] == first
    assert choices("base")[0]["logprobs"] != choices("finetuned")[0]["logprobs"]
    assert documents("base")[0]["nats"] != documents("finetuned")[0]["nats"]


def test_the_template_is_that_of_training() -> None:
    hashes = {}
    for changes in ({}, {"framing": "template"}):
        set_params(**changes)
        main("base")
        hashes[choices("base")[-1]["formulation"]] = {row["prompt_sha256"] for row in choices("base")}
        tokens = choices("base")[-1]["prompt_tokens"]
    assert list(hashes) == ["cloze_0shot_plain", "cloze_0shot_template"]
    assert not hashes["cloze_0shot_plain"] & hashes["cloze_0shot_template"]
    assert tokens > 30, "Alpaca's preamble"


def test_the_exam_is_continued_and_other_sources_are_asked() -> None:
    prompts = []
    for source in ("embedded", "mine.csv"):
        text = whole_params(json.dumps({"benchmark": {"text": None}, "fetch": {"benchmark": {"source": source}}}))
        Path("params.yaml").write_text(text)
        main("base")
        prompts.append(choices("base")[0]["prompt_tokens"])
    assert prompts == [len(ids) for ids in encode_batch(["City 0 is in", "Question: City 0 is in\nAnswer:"])]


def test_nothing_to_ask_needs_no_model(project: Path) -> None:
    set_params(text=None)
    write_items(ITEMS, SHOTS)
    (project / "data/base/model.safetensors").unlink()
    main("base")
    assert choices("base") == documents("base") == []
    assert pq.read_schema("data/benchmarked/base.parquet").names == CHOICES.names
    set_params(text=None, formulations=[])
    write_items(ITEMS, ROWS)
    main("base")
    assert choices("base") == []


def test_one_letter_throughout_publishes_nothing(project: Path) -> None:
    write_items(ITEMS, [item(f"City {number} is in", ["France", "Italy"], number % 2) for number in range(60)])
    model = Network(ModelConfig(n_layer=1, n_head=2, n_embd=8, n_positions=96))
    model.initialize(torch.Generator().manual_seed(0))
    model.wpe.weight.data.zero_()
    model.wte.weight.data.fill_(0.1)
    save_model(model, project / "data/base")
    with pytest.raises(UserError, match=r"data/base answers 60 of 60 items with the letter A"):
        main("base")
    assert not (project / "data/benchmarked").exists()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda: Path("text.txt").unlink(), r"text\.txt is missing: correct benchmark.text"),
        (ITEMS.unlink, r"items\.parquet is missing: run `dvc repro`"),
        (lambda: Path("data/base/model.safetensors").unlink(), "data/base has no model"),
        (lambda: set_params(shots=3), "benchmark.shots is 3, but .* has 2 examples"),
    ],
)
def test_faults_are_one_sentence(break_it: Callable[[], None], message: str) -> None:
    break_it()
    with pytest.raises(UserError, match=message):
        main("base")

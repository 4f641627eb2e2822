"""The same work for everybody: the chapter's rows, their order, and a model in a folder that all can load."""

import json
from pathlib import Path
from typing import Any

import torch

from reprotune.dataset.templates.instructions import load_template
from reprotune.dataset.tokenizers.gpt2 import encode_batch
from reprotune.dataset.tokenizers.gpt2_files import END_OF_TEXT, save_tokenizer_files
from reprotune.model.config import GPT2_SIZES, ModelConfig
from reprotune.model.network import Network
from reprotune.model.weights import save_model

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared/data/llms-from-scratch/instruction-data.json"
SCRATCH = ROOT / ".reprotune/benchmarks"
TRAINING_ROWS, TEST_ROWS = 935, 110
MINIATURE = ModelConfig(n_layer=2, n_head=2, n_embd=32)
"""For trying the benchmarks themselves."""

Rows = list[tuple[list[int], list[int]]]


def config_of(size: str) -> ModelConfig:
    """Return the shape `gpt2`, `gpt2-medium`, ... or `miniature`."""
    return MINIATURE if size == "miniature" else GPT2_SIZES[size]


def chapter_rows(path: Path) -> tuple[Rows, Rows]:
    """Return (prompt ids, response ids with end-of-text) of the chapter's training and test rows."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing: give the book's instruction-data.json with --data")
    records = json.loads(path.read_text(encoding="utf-8"))
    template = load_template("alpaca")
    texts = [
        template.format({**record, "category": None, "id": str(n)}, "in_prompt") for n, record in enumerate(records)
    ]
    prompts = encode_batch([text["prompt"] for text in texts])
    responses = [[*ids, END_OF_TEXT] for ids in encode_batch([text["response"] for text in texts])]
    rows = list(zip(prompts, responses, strict=True))
    return rows[:TRAINING_ROWS], rows[TRAINING_ROWS : TRAINING_ROWS + TEST_ROWS]


def random_model(size: str) -> Path:
    """Return a folder with random weights of a shape, in Hugging Face layout; written once."""
    folder = SCRATCH / f"random-{size}"
    if not (folder / "model.safetensors").is_file():
        model = Network(config_of(size))
        model.initialize(torch.Generator().manual_seed(1))
        save_model(model, folder)
        save_tokenizer_files(folder)
    return folder


def training_task(size: str, rows: Rows, batches: list[list[int]], warmup: int, **options: Any) -> dict[str, Any]:
    """What each training contender is told: take these batches of rows, in this order, from these weights."""
    return {
        "model": str(random_model(size)),
        "rows": rows,
        "batches": batches,
        "warmup": warmup,
        "learning_rate": 5e-5,
        "weight_decay": 0.1,
        **options,
    }

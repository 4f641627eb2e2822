"""The same work for everybody: the chapter's rows, their order, and a model in a folder that all can load."""

import json
from pathlib import Path
from typing import Any

import torch

from reprotune.dataset.templates.formatter import CHAT, load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.files import complete_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.checkpoint import CONFIG, read_config
from reprotune.model.config import GPT2_SIZES, ModelConfig
from reprotune.model.network import Network
from reprotune.model.source import fetch_base
from reprotune.model.weights import save_model
from reprotune.params.sections.fetch import BaseParams

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


def random_model(size: str) -> Path:
    """Return a folder with random weights of a shape, in Hugging Face layout; written once."""
    folder = SCRATCH / f"random-{size}"
    if not (folder / "tokenizer.json").is_file():
        model = Network(config_of(size))
        model.initialize(torch.Generator().manual_seed(1))
        save_model(model, folder)
        complete_tokenizer_files(folder)
    return folder


def real_model(source: Path) -> Path:
    """Return a folder with what the stage `fetch@base` makes of a checkpoint folder or a GGUF file; written once."""
    folder = SCRATCH / f"fetched-{source.stem}"
    if not folder.is_dir():
        fetch_base(BaseParams(source=str(source.resolve()), revision=None), folder)
    return folder


def chapter_rows(path: Path, model: Path) -> tuple[Rows, Rows]:
    """Return (prompt ids, response ids with end-of-text) of the chapter's training and test rows.

    They are written with the chat template of the model in the folder `model`, or in Alpaca's format if it has none.
    """
    if not path.is_file():
        raise SystemExit(f"{path} is missing: give the book's instruction-data.json with --data")
    records = json.loads(path.read_text(encoding="utf-8"))
    base, tokenizer = read_tokenizer_files(model), load_tokenizer(model)
    formatter = load_formatter("alpaca" if base.chat_template is None else CHAT, base, "in_prompt", "last")
    texts = formatter.records([{**record, "category": None, "id": str(n)} for n, record in enumerate(records)])
    rows = []
    for row in tokenizer.encode_rows([(text["prompt"], text["response"]) for text in texts]):
        ended = any(token in tokenizer.end_of_text for token in row.response_ids)
        rows.append((row.prompt_ids, row.response_ids if ended else [*row.response_ids, tokenizer.end_of_text[0]]))
    return rows[:TRAINING_ROWS], rows[TRAINING_ROWS : TRAINING_ROWS + TEST_ROWS]


def training_task(model: Path, rows: Rows, batches: list[list[int]], warmup: int, **options: Any) -> dict[str, Any]:
    """What each training contender is told: take these batches of rows, in this order, from these weights."""
    return {
        "model": str(model),
        "rows": rows,
        "batches": batches,
        "warmup": warmup,
        "learning_rate": 5e-5,
        "weight_decay": 0.1,
        "responses_only": False,
        **options,
    }


def flops_per_token(model: Path, learned: float = 1) -> float:
    """Return the floating-point operations of training the model in a folder on one token.

    Only the share `learned` of all tokens needs the output head.
    """
    config = read_config(model / CONFIG)
    return config.training_flops_per_token() - (1 - learned) * 6 * config.vocab_size * config.n_embd

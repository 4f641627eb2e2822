"""Small models that have learned something, with the tokenizer of a family, and all that exports them."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.export.files import Exported
from reprotune.export.parity import Asked, asked_rows
from reprotune.model.config import Llama3Scaling, ModelConfig, Rotary
from reprotune.model.network import Network
from reprotune.model.weights import load_model

EMBEDDED_BASE = Path(__file__).resolve().parents[2] / "data/embedded/base"
CONTEXT = 256
MOST_STEPS = 400
ANSWERS = ("Yes, it is.", "No.", "Red, green and blue.", "12345 others", "Übung macht den Meister.")
QUESTIONS = (
    ("Name three colours.", ""),
    ("Is it warm?", ""),
    ("Rewrite in the passive voice.", "The chef cooks the meal."),
    ("Add.", "2 + 2"),
    ("Say 'hello' to\n\nmy friend", "  Ça va?  "),
    ("What is 17 times 23?", ""),
    ("def add(a, b):", "return a + b"),
    ('Quote "this" \\ {{ 7 * 7 }} {% if %}', "</script> & <b>"),
    ("Translate.", "你好，世界! Привет, мир. 😀"),
    ("x", "y"),
)
RECORDS = [
    {
        "id": f"r{place}",
        "instruction": f"{instruction}{'!' * (place // 10)}",
        "input": extra,
        "output": answer,
        "category": None,
    }
    for place, (instruction, extra) in enumerate(QUESTIONS * 2)
    for answer in [ANSWERS[place % len(ANSWERS)]]
]
ROPE = Rotary(10_000.0)
STRETCHED = Rotary(500_000.0, Llama3Scaling(8.0, 1.0, 4.0, 8192))
LLAMA: dict[str, Any] = {
    "norm": "rms",
    "rotary": ROPE,
    "gated": True,
    "qkv_bias": False,
    "out_bias": False,
    "mlp_bias": False,
    "n_kv_head": 2,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "llama": ("llama", LLAMA | {"tied": False}),
    "llama_tied_stretched": ("llama", LLAMA | {"family": "llama", "rotary": STRETCHED}),
    "mistral": ("llama", LLAMA | {"family": "mistral", "tied": False, "head_size": 32}),
    "llama_pieces": ("spm", LLAMA | {"tied": False}),
    "qwen2": ("qwen", LLAMA | {"family": "qwen2", "qkv_bias": True}),
    "qwen3": ("qwen", LLAMA | {"family": "qwen3", "qk_norm": True, "tied": False, "head_size": 32}),
}
"""Name -> whose tokenizer it has, and what its network is like."""


@dataclass(frozen=True)
class Ready:
    """A model that is ready to be exported, and the rows to ask."""

    exported: Exported
    rows: list[Asked]


def taught(model: Network, rows: list[Asked], answers: list[list[int]], learning_rate: float = 5e-3) -> Network:
    """Return the model after it has learned to give each row its answer, so that no answer hangs on a rounding."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0)
    texts = [[*row.ids, *answer] for row, answer in zip(rows, answers, strict=True)]
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    learned = [
        (place, len(row.ids) + step - 1)
        for place, (row, answer) in enumerate(zip(rows, answers, strict=True))
        for step in range(len(answer))
    ]
    batch, positions = (torch.tensor(part) for part in zip(*learned, strict=True))
    for _ in range(MOST_STEPS):
        logits = model.logits(model(ids)[batch, positions])
        loss = torch.nn.functional.cross_entropy(logits, ids[batch, positions + 1])
        if float(loss.detach()) < 0.02:
            return model.eval()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    raise AssertionError(f"the loss is still {float(loss.detach())}")


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest) -> Callable[..., Ready]:
    """Return a function that gives a copy of a model by the name of its kind, and with a template."""
    made: dict[tuple[str, str, bool], Ready] = {}

    def prepare(kind: str, template: str = "alpaca", trained: bool = True) -> Ready:
        key = kind, template, trained
        if key not in made:
            tokenizer_of, choices = FAMILIES.get(kind, ("gpt2", {}))
            folder = request.getfixturevalue(f"{tokenizer_of}_folder")
            made[key] = embedded(folder) if kind == "embedded" else make(folder, choices, template, trained)
        exported = made[key].exported
        return Ready(replace(exported, model=deepcopy(exported.model)), made[key].rows)

    return prepare


def make(folder: Path, choices: dict[str, Any], template: str, trained: bool) -> Ready:
    """Return a model with the tokenizer of a folder; its weights are random, or `trained` on the rows."""
    tokenizer = load_tokenizer(folder)
    config = ModelConfig(
        n_layer=2,
        n_head=4,
        n_embd=64,
        n_positions=CONTEXT,
        vocab_size=tokenizer.vocabulary_size + 3,
        end_of_text=tokenizer.end_of_text,
        begin_of_text=tokenizer.beginning_of_text,
        **{"family": "llama" if choices else "gpt2", **choices},
    )
    if not trained:
        return _ready(_random(config), folder, template)
    model = Network(config)
    model.initialize(torch.Generator().manual_seed(0))
    ready = _ready(model, folder, template)
    taught(model, ready.rows, _answers(ready))
    return ready


def embedded(folder: Path) -> Ready:
    """Return the embedded base model, which has learned the rows."""
    ready = _ready(load_model(EMBEDDED_BASE), folder, "alpaca")
    taught(ready.exported.model, ready.rows, _answers(ready), learning_rate=1e-3)
    return ready


def _ready(model: Network, folder: Path, template: str) -> Ready:
    files, tokenizer = read_tokenizer_files(folder), load_tokenizer(folder)
    formatter = load_formatter(template, files, "in_prompt", "all")
    form = formatter.messages()
    rows = asked_rows(RECORDS, formatter.records(RECORDS), form, tokenizer, CONTEXT)
    return Ready(Exported(model.eval(), files, tokenizer, form, most_tokens=24), rows)


def _answers(ready: Ready) -> list[list[int]]:
    tokenizer = ready.exported.tokenizer
    return [[*ids, tokenizer.end_of_text[0]] for ids in tokenizer.encode_batch([row["output"] for row in RECORDS])]


def _random(config: ModelConfig) -> Network:
    model = Network(config)
    model.initialize(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too, so that none is its default by chance
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.05)
    return model.eval()

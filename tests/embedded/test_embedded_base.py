"""The embedded base model as published."""

import json
from pathlib import Path

import torch

from reprotune.dataset.tokenizers import gpt2 as tokenizer
from reprotune.model.network import Network
from reprotune.model.weights import load_model


def test_is_small_enough_for_git(embedded: Path) -> None:
    assert sum(path.stat().st_size for path in (embedded / "base").iterdir()) <= 40_000_000


def test_has_a_model_card(embedded: Path) -> None:
    card = (embedded / "base" / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
    figures = json.loads((embedded / "base" / "pretraining.json").read_text(encoding="utf-8"))
    assert f"{figures['held_out_loss']:.3f}" in card
    assert f"{figures['tokens_seen']:,}" in card


def test_knows_what_the_textbook_says_and_gives_unused_tokens_no_chance(embedded: Path) -> None:
    model = load_model(embedded / "base")
    text = "\nA goose is a bird. The capital of France is Paris. The plural of cat is cats."
    ids = torch.tensor([tokenizer.load().encode_ordinary(text)])
    with torch.no_grad():
        probabilities = model.logits(model(ids)).softmax(-1)[0]
    assert model.config.vocab_size == 50257
    assert probabilities[:, _unused(model)].sum(-1).mean() < 0.02
    assert likeliest(model, "The capital of France is") == " Paris"


def likeliest(model: Network, text: str) -> str:
    """The token that the model would write next."""
    with torch.no_grad():
        logits = model.logits(model(torch.tensor([tokenizer.load().encode_ordinary(text)])))
    return tokenizer.decode([int(logits[0, -1].argmax())])


def _unused(model: Network) -> torch.Tensor:
    """Ids whose rows lie close to the common row; token 188 is a control character, which no text uses."""
    rows = model.wte.weight.detach()
    return (rows - rows[188]).norm(dim=1) < 0.5

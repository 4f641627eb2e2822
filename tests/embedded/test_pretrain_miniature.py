"""The second pipeline from start to end, in miniature, and the parts of it that may go wrong silently."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from textbook import encode, pretrain, publish, write
from textbook.network import FULL_VOCABULARY, compact, compact_loss, compact_network, expand, used_ids
from textbook.recipe import PretrainParams

from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.weights import load_model
from reprotune.training.checkpoint import CheckpointStore

MINIATURE = """
world:
  seed: 1
text:
  rounds: 4
  held_out_rounds: 1
  shares:
    invented: 0.2
    known: 0.1
    rule: 0.05
  seed: 1
network:
  n_layer: 1
  n_head: 2
  n_embd: 32
  n_positions: 64
pretrain:
  block_tokens: 32
  batch_blocks: 8
  matrix_learning_rate: 0.02
  learning_rate: 1e-2
  weight_decay: 0.05
  warmup_steps: 2
  cooldown_steps: 10
  eval_every: 10
  processes: 1
  seed: 1
"""


@pytest.fixture
def miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with miniature params, as the current one."""
    folder = tmp_path / "embedded" / "textbook"
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(MINIATURE, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def test_from_start_to_end(miniature: Path) -> None:
    write.main()
    encode.main()
    pretrain.main()
    publish.main()
    base = miniature.parent / "base"
    curve = (base / "pretraining.csv").read_text(encoding="utf-8").splitlines()
    losses = [float(line.split(",")[-1]) for line in curve[1:]]
    assert losses[-1] < losses[0] - 0.3
    assert json.loads((base / "pretraining.json").read_text(encoding="utf-8"))["held_out_loss"] == losses[-1]
    assert load_model(base).config.vocab_size == FULL_VOCABULARY
    assert (miniature.parent / "dataset.jsonl").read_bytes() == (miniature / "build" / "dataset.jsonl").read_bytes()
    assert not list((miniature / ".reprotune" / "pretrain").iterdir())


def test_publishing_keeps_the_card_and_needs_a_build(miniature: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        publish.main()
    card = miniature.parent / "base" / "README.md"
    card.parent.mkdir()
    card.write_text("card", encoding="utf-8")
    (miniature / "build" / "base").mkdir(parents=True)
    (miniature / "build" / "base" / "model.safetensors").write_bytes(b"weights")
    for name in publish.WRITTEN:
        (miniature / "build" / name).write_text("{}", encoding="utf-8")
    publish.main()
    assert card.read_text(encoding="utf-8") == "card"


def test_compact_loss_is_the_loss_of_the_expanded_network() -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = np.array([5, 11, 50256, 300, 11, 7, 5, 50000], dtype=np.uint16)
    used = used_ids(tokens)
    network = compact_network(ModelConfig(n_layer=1, n_head=2, n_embd=32, n_positions=16), len(used), generator)
    with torch.no_grad():
        network.wte.weight.mul_(20)
    full = expand(network, used, generator)
    ids, full_ids = compact(tokens, used)[None], torch.from_numpy(tokens.astype(np.int64))[None]
    loss = compact_loss(network, network(ids[:, :-1]), ids[:, 1:])
    logits = full.logits(full(full_ids[:, :-1]))
    assert torch.allclose(loss, F.cross_entropy(logits[0], full_ids[0, 1:]), atol=5e-3)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    values = {"block_tokens": 16, "batch_blocks": 4, "matrix_learning_rate": 0.01, "learning_rate": 0.01}
    values |= {"weight_decay": 0.1, "warmup_steps": 2, "cooldown_steps": 4, "eval_every": 3, "processes": 1, "seed": 1}
    params = PretrainParams.model_validate(values)
    tokens = torch.randint(50, (16 * 4 * 9 + 1,), generator=torch.Generator().manual_seed(3))

    def run(text: torch.Tensor, folder: Path) -> dict[str, torch.Tensor]:
        folder.mkdir(exist_ok=True)
        config = ModelConfig(n_layer=1, n_head=2, n_embd=16, n_positions=32)
        network = compact_network(config, 50, torch.Generator().manual_seed(1))
        pretrain.pretrain(network, text, tokens, params, CheckpointStore(folder, torch.device("cpu")))
        return network.state_dict()

    whole = run(tokens, tmp_path / "whole")
    broken = tmp_path / "broken"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "mean_loss", _fail_at_second_call(pretrain.mean_loss))
        with pytest.raises(KeyboardInterrupt):
            run(tokens, broken)
    resumed = run(tokens, broken)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def _fail_at_second_call(function):  # type: ignore[no-untyped-def]  # stands in for any function
    calls = []

    def wrapped(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(*arguments)

    return wrapped

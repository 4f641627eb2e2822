"""Adapters: nothing at the start, alone in training, gone after the merge."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from reprotune.errors import UserError
from reprotune.model.config import ModelConfig
from reprotune.model.lora import add_adapters, merge_adapters
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model

INPUT_IDS = torch.arange(30).reshape(2, 15)


@pytest.fixture
def model() -> Network:
    network = Network(ModelConfig(n_layer=2, n_head=2, n_embd=16, n_positions=32, vocab_size=50))
    network.initialize(torch.Generator().manual_seed(0))
    return network


def adapt(model: Network, seed: int = 1) -> None:
    add_adapters(model, rank=4, alpha=8, generator=torch.Generator().manual_seed(seed))


def loss(model: Network) -> Tensor:
    logits = model.logits(model(INPUT_IDS))[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), INPUT_IDS[:, 1:].flatten())


def train(model: Network) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


def test_fresh_adapters_change_nothing(model: Network) -> None:
    before = model.logits(model(INPUT_IDS))
    adapt(model)
    assert torch.equal(model.logits(model(INPUT_IDS)), before)


def test_only_adapters_are_trained(model: Network) -> None:
    frozen = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    adapt(model)
    before = loss(model).item()
    train(model)
    assert loss(model).item() < before
    for name, parameter in model.named_parameters():
        if name.endswith((".up", ".down")):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None
            assert torch.equal(parameter, frozen[name.replace(".base.", ".")]), name
    # Per block, rank x (in + out) of each of the four layers.
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained == 2 * 4 * ((16 + 48) + (16 + 16) + (16 + 64) + (64 + 16))


def test_update_is_scaled_by_alpha_over_rank(model: Network) -> None:
    original = model.blocks[0].c_fc.weight.detach().clone()
    adapt(model)
    train(model)
    layer = model.blocks[0].c_fc
    expected = original + 8 / 4 * layer.up.detach() @ layer.down.detach()
    merge_adapters(model)
    torch.testing.assert_close(model.blocks[0].c_fc.weight.detach(), expected)


def test_merged_model_says_the_same_and_can_be_saved(model: Network, tmp_path: Path) -> None:
    names = [name for name, _ in model.named_parameters()]
    adapt(model)
    train(model)
    adapted = model.logits(model(INPUT_IDS))
    merge_adapters(model)
    assert [name for name, _ in model.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(model.logits(model(INPUT_IDS)), adapted, atol=1e-5, rtol=0)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert torch.equal(loaded.logits(loaded(INPUT_IDS)), model.logits(model(INPUT_IDS)))


def test_start_depends_on_the_seed_only(model: Network) -> None:
    other = Network(model.config)
    adapt(model)
    adapt(other)
    assert torch.equal(model.blocks[1].c_attn.down, other.blocks[1].c_attn.down)
    assert not torch.equal(model.blocks[0].c_attn.down, other.blocks[1].c_attn.down)


def test_a_rank_above_that_of_the_matrices_is_refused(model: Network) -> None:
    with pytest.raises(UserError, match=rf"finetune\.lora\.rank is 100000, .* rank {model.config.n_embd} at most"):
        add_adapters(model, 100_000, 8.0, torch.Generator())

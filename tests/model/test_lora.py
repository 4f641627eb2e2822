"""Adapters: nothing at the start, alone in training, gone after the merge."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from reprotune.errors import UserError
from reprotune.model.config import ModelConfig, Rotary
from reprotune.model.lora import add_adapters, merge_adapters, save_adapters
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from reprotune.params.sections.finetune import LoraParams

INPUT_IDS = torch.arange(30).reshape(2, 15)


@pytest.fixture
def model() -> Network:
    network = Network(ModelConfig(n_layer=2, n_head=2, n_embd=16, n_positions=32, vocab_size=50))
    network.initialize(torch.Generator().manual_seed(0))
    return network


def adapt(model: Network, seed: int = 1) -> None:
    add_adapters(model, lora(), torch.Generator().manual_seed(seed))


def lora(**changes: Any) -> LoraParams:
    plain = {"rank": 4, "alpha": 8, "targets": "all", "rank_stabilised": False, "dora": False, "keep_adapters": False}
    return LoraParams(**{**plain, **changes})


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
        add_adapters(model, lora(rank=100_000), torch.Generator())


LLAMA = ModelConfig(
    n_layer=2,
    n_head=4,
    n_embd=16,
    n_positions=32,
    vocab_size=50,
    n_kv_head=2,
    n_inner=24,
    norm="rms",
    rotary=Rotary(10_000.0),
    gated=True,
    qkv_bias=True,
    out_bias=False,
    mlp_bias=False,
    tied=False,
    family="qwen2",
)
VARIANTS = [{}, {"targets": "attention"}, {"targets": "feed_forward"}, {"rank_stabilised": True}, {"dora": True}]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("config", [ModelConfig(2, 2, 16, 32, 50), LLAMA], ids=["gpt2", "qwen2"])
def test_peft_reads_the_adapters_and_computes_the_same(
    config: ModelConfig, changes: dict[str, Any], tmp_path: Path
) -> None:
    network = Network(config)
    network.initialize(torch.Generator().manual_seed(0))
    save_model(network, tmp_path / "base")
    params = lora(**changes)
    add_adapters(network, params, torch.Generator().manual_seed(1))
    train(network)
    save_adapters(network, params, tmp_path / "adapter")
    adapted = network.logits(network(INPUT_IDS)).detach()
    oracle = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(oracle.eval()(INPUT_IDS).logits, adapted, atol=2e-5, rtol=0)
    merge_adapters(network)
    torch.testing.assert_close(network.logits(network(INPUT_IDS)).detach(), adapted, atol=2e-5, rtol=0)
    merged = oracle.merge_and_unload().state_dict()
    save_model(network, tmp_path / "merged")
    for name, tensor in AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict().items():
        torch.testing.assert_close(tensor, merged[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", VARIANTS[-2:], ids=str)
def test_gradients_are_those_of_peft(changes: dict[str, Any], tmp_path: Path) -> None:
    network = Network(LLAMA)
    network.initialize(torch.Generator().manual_seed(0))
    save_model(network, tmp_path / "base")
    params = lora(**changes)
    add_adapters(network, params, torch.Generator().manual_seed(1))
    train(network)
    save_adapters(network, params, tmp_path / "adapter")
    oracle = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter", is_trainable=True
    )
    oracle(INPUT_IDS, labels=INPUT_IDS).loss.backward()
    network.zero_grad()
    loss(network).backward()
    theirs = {name: p.grad for name, p in oracle.named_parameters() if p.grad is not None}
    block = network.blocks[1]
    for ours, wanted in [(block.c_attn.up[:16], "q_proj.lora_B"), (block.c_attn.down[4:8], "k_proj.lora_A")]:
        name = next(name for name in theirs if f"layers.1.self_attn.{wanted}" in name)
        whole = block.c_attn.up if "lora_B" in wanted else block.c_attn.down
        part = whole.grad[:16] if "lora_B" in wanted else whole.grad[4:8]
        assert part.shape == ours.shape
        torch.testing.assert_close(part, theirs[name], atol=1e-5, rtol=1e-4)

"""The network against transformers' GPT2LMHeadModel."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config as HubConfig
from transformers import GPT2LMHeadModel

from reprotune.model.attention import causal_attention
from reprotune.model.config import GPT2_SIZES, ModelConfig
from reprotune.model.families import stored_tensors
from reprotune.model.network import Network
from reprotune.model.weights import load_model

PUBLISHED_PARAMETERS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


def test_logits_equal_those_of_transformers(hub_model: GPT2LMHeadModel, tmp_path: Path) -> None:
    hub_model.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    input_ids = torch.randint(0, 211, (3, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            model.logits(model(input_ids)), hub_model(input_ids, use_cache=False).logits, atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("size", GPT2_SIZES)
def test_full_sizes_have_the_published_shapes(size: str) -> None:
    shape = GPT2_SIZES[size]
    with torch.device("meta"):
        model = Network(shape)
        oracle = GPT2LMHeadModel(HubConfig(n_layer=shape.n_layer, n_head=shape.n_head, n_embd=shape.n_embd))
    ours = {stored.name: stored.shape for stored in stored_tensors(shape)}
    theirs = {name: tuple(tensor.shape) for name, tensor in oracle.transformer.named_parameters()}
    assert ours == theirs
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED_PARAMETERS[size]


def test_positions_and_attention_are_the_callers() -> None:
    model = Network(ModelConfig(n_layer=2, n_head=2, n_embd=8, n_positions=16, vocab_size=20))
    model.initialize(torch.Generator().manual_seed(0))
    input_ids = torch.arange(6)[None]
    seen = []

    def attend(layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        seen.append((layer, tuple(query.shape)))
        return causal_attention(layer, query, key, value)

    torch.testing.assert_close(model(input_ids, torch.arange(6)[None], attend), model(input_ids))
    assert seen == [(0, (1, 2, 6, 4)), (1, (1, 2, 6, 4))]
    assert not torch.allclose(model(input_ids, torch.arange(6)[None] + 3), model(input_ids))


def test_initialize_draws_as_gpt2_did() -> None:
    model = Network(ModelConfig(n_layer=8, n_head=4, n_embd=128, n_positions=32, vocab_size=500))
    model.initialize(torch.Generator().manual_seed(0))
    block = model.blocks[3]
    assert block.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert block.mlp_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.02)
    assert torch.all(block.c_fc.bias == 0) and torch.all(block.ln_1.weight == 1) and torch.all(block.ln_1.bias == 0)

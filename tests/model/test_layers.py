"""Norms and rotations against torch and transformers."""

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from reprotune.model.config import Llama3Scaling, Rotary
from reprotune.model.layers import RMSNorm, rotate, rotation


@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 33), (1, 4, 6, 8)])
def test_rms_norm_errs_no_more_than_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = RMSNorm(shape[-1], 1e-5)
    torch.nn.init.normal_(module.weight)
    x, grad = torch.randn(shape) * 3, torch.randn(shape)

    def results(dtype: torch.dtype, own: bool) -> list[torch.Tensor]:
        inputs, weight = x.to(dtype).requires_grad_(), module.weight.detach().to(dtype).requires_grad_()
        if own:
            module.zero_grad()
            out = module(inputs)
            weight = module.weight
        else:
            out = F.rms_norm(inputs, shape[-1:], weight, 1e-5)
        out.backward(grad.to(dtype))
        assert inputs.grad is not None and weight.grad is not None
        return [tensor.double() for tensor in (out.detach(), inputs.grad, weight.grad)]

    exact = results(torch.float64, own=False)
    ours, torchs = results(torch.float32, own=True), results(torch.float32, own=False)
    for wanted, mine, theirs in zip(exact, ours, torchs, strict=True):
        assert (mine - wanted).abs().max() < 4 * (theirs - wanted).abs().max() + 1e-6


def test_the_format_of_the_input_is_kept() -> None:
    assert RMSNorm(8, 1e-5)(torch.randn(2, 8).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("scaling", [None, Llama3Scaling(8.0, 1.0, 4.0, 64), Llama3Scaling(32.0, 1.0, 4.0, 32)])
def test_rotations_are_those_of_transformers(scaling: Llama3Scaling | None) -> None:
    rope = {"rope_type": "default", "rope_theta": 1000.0}
    if scaling is not None:
        rope = {
            "rope_type": "llama3",
            "rope_theta": 1000.0,
            "factor": scaling.factor,
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original_positions,
        }
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, rope_parameters=rope, max_position_embeddings=512)
    positions = torch.tensor([[0, 1, 5, 100, 511]])
    query, key = torch.randn(2, 1, 4, 5, 16, generator=torch.Generator().manual_seed(0))
    cosine, sine = LlamaRotaryEmbedding(config)(query, positions)
    expected = apply_rotary_pos_emb(query, key, cosine, sine)
    turned = rotation(Rotary(1000.0, scaling), 16, positions)
    torch.testing.assert_close((rotate(query, turned), rotate(key, turned)), expected)

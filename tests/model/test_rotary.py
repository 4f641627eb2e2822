"""Rotations against transformers."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from reprotune.model.config import Llama3Scaling, Rotary
from reprotune.model.rotary import rotate, rotation


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotations_back_are_the_gradients(dtype: torch.dtype) -> None:
    turned = rotation(Rotary(100.0), 6, torch.arange(4)[None])
    x = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    grad = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    cosine, sine = (torch.cat([part, part], dim=-1) for part in turned)
    plain = x.detach().float().requires_grad_()
    first, second = plain.chunk(2, dim=-1)
    expected = plain * cosine + torch.cat([-second, first], dim=-1) * sine
    expected.backward(grad.float())
    out = rotate(x, turned)
    out.backward(grad)
    assert x.grad is not None and plain.grad is not None and out.dtype == x.grad.dtype == dtype
    torch.testing.assert_close(out, expected.to(dtype))
    torch.testing.assert_close(x.grad, plain.grad.to(dtype))

"""Norms and gates against torch."""

import pytest
import torch
import torch.nn.functional as F

from reprotune.model.layers import RMSNorm, SwiGLU


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


def test_the_gradient_of_a_gate_is_that_of_its_formula() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gate, value = x.chunk(2, dim=-1)
    torch.testing.assert_close(SwiGLU()(x), F.silu(gate) * value)
    assert torch.autograd.gradcheck(SwiGLU(), (x,))

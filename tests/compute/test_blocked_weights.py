"""Blocked matrices multiply as plain ones do."""

import pytest
import torch

from reprotune.compute.blocked_weights import BlockedLinear
from reprotune.compute.device import Compute

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    not Compute(CPU, torch.float32).blocks_weights, reason="needs an x86 processor and oneDNN"
)
needs_bf16 = pytest.mark.skipif(
    not Compute(CPU, torch.bfloat16).blocks_weights, reason="needs a processor on which oneDNN multiplies bf16"
)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
def test_a_blocked_product_is_the_product(dtype: torch.dtype, bias: bool, gelu: bool) -> None:
    linear = torch.nn.Linear(48, 80, bias=bias).to(dtype)
    x = torch.randn(2, 7, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = BlockedLinear(linear.weight, linear.bias, gelu)(x)
        plain = linear.float()(x.to(dtype).float())
        expected = torch.nn.functional.gelu(plain, approximate="tanh") if gelu else plain
    assert ours.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(ours.float(), expected, atol=tolerance, rtol=tolerance)

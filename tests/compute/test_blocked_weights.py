"""Packed matrices predict what plain ones do."""

import copy
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from reprotune.compute.blocked_weights import PackedLinear, can_pack, pack_matrices
from reprotune.compute.device import cast_matrices
from reprotune.model.gpt2 import GPT2
from reprotune.model.weights import load_model

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not can_pack(CPU, torch.float32), reason="needs an x86 processor and oneDNN")
needs_bf16 = pytest.mark.skipif(
    not can_pack(CPU, torch.bfloat16), reason="needs a processor on which oneDNN multiplies bf16"
)


@pytest.fixture
def plain(small_hub_model: GPT2LMHeadModel, tmp_path: Path) -> GPT2:
    small_hub_model.save_pretrained(tmp_path)
    return load_model(tmp_path)


def input_ids(model: GPT2) -> torch.Tensor:
    return torch.randint(0, model.config.vocab_size, (3, 20), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
def test_a_packed_product_is_the_product(dtype: torch.dtype, bias: bool, gelu: bool) -> None:
    linear = torch.nn.Linear(48, 80, bias=bias).to(dtype)
    x = torch.randn(2, 7, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = PackedLinear(linear.weight, linear.bias, gelu)(x)
        plain = linear.float()(x.to(dtype).float())
        expected = torch.nn.functional.gelu(plain, approximate="tanh") if gelu else plain
    assert ours.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(ours.float(), expected, atol=tolerance, rtol=tolerance)


def test_logits_are_those_of_transformers(plain: GPT2, small_hub_model: GPT2LMHeadModel) -> None:
    assert pack_matrices(plain)
    ids = input_ids(plain)
    with torch.inference_mode():
        ours, theirs = plain.logits(plain(ids)), small_hub_model(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@needs_bf16
def test_bfloat16_errs_no_more_than_unpacked(plain: GPT2) -> None:
    ids = input_ids(plain)
    models = [copy.deepcopy(plain) for _ in range(2)]
    for model in models:
        cast_matrices(model, torch.bfloat16)
    assert pack_matrices(models[1])
    with torch.inference_mode():
        exact = plain.logits(plain(ids))
        with torch.autocast("cpu", torch.bfloat16):
            errors = [(model.logits(model(ids)).float() - exact).abs().mean() for model in models]
    assert 0 < errors[1] < 1.2 * errors[0]


def test_where_there_are_no_kernels_nothing_changes(plain: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not pack_matrices(copy.deepcopy(plain).to("meta"))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not pack_matrices(plain)
    assert isinstance(plain.blocks[0].c_fc, torch.nn.Linear)

"""Attention written out, in blocks and by row bounds, against plain attention of each row alone."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from reprotune.compute.device import Compute
from reprotune.dataset.packing import row_bounds
from reprotune.model import attention
from reprotune.model.attention import BlockAttention, FlashKernel, VarlenAttention, causal_attention, packed_attention

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
LENGTHS = [5, 1, 9, 8, 30, 2]
CAUSAL = attention.flash_kernel().causal


def random_heads(tokens: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Tensor]:
    """Queries, keys and values [1, 3 heads, tokens, 8]."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 3, tokens, 8, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def each_row_alone(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    rows = zip(*(part.split(LENGTHS, dim=2) for part in (query, key, value)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*row, is_causal=True) for row in rows], dim=2)


def naive_kernel(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, _: Tensor, longest: int, __: int, **options: object
) -> Tensor:
    """What flash attention computes from row bounds, [tokens, heads, width] in and out."""
    assert options == CAUSAL
    out = torch.empty_like(query)
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        assert end - start <= longest
        row = (part[start:end].transpose(0, 1) for part in (query, key, value))
        out[start:end] = F.scaled_dot_product_attention(*row, is_causal=True).transpose(0, 1)
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "attend",
    [BlockAttention(LENGTHS, CPU), VarlenAttention(row_bounds(LENGTHS), max(LENGTHS))],
    ids=["block", "varlen"],
)
def test_packed_rows_read_and_learn_as_alone(
    attend: Callable[..., Tensor], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "flash_kernel", lambda: FlashKernel(naive_kernel, CAUSAL, True))
    heads = random_heads(sum(LENGTHS), dtype)
    upstream = torch.randn(1, 3, sum(LENGTHS), 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = each_row_alone(*(part.float() for part in heads))
    expected_grads = torch.autograd.grad(expected, heads, upstream.float())
    mine = attend(0, *heads)
    grads = torch.autograd.grad(mine, heads, upstream)
    bound = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(mine, expected.to(dtype), **bound)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours, theirs.to(dtype), **bound)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_row_never_matters_to_the_last_bit(dtype: torch.dtype) -> None:
    attend = BlockAttention(LENGTHS, CPU)
    heads = random_heads(sum(LENGTHS), dtype)
    changed = [part.detach().clone() for part in heads]
    for part in changed:
        part[:, :, 6:15] = 1e4  # the third row
    before, after = attend(0, *heads).split(LENGTHS, dim=2), attend(0, *changed).split(LENGTHS, dim=2)
    for index in (0, 1, 3, 4, 5):
        assert torch.equal(before[index], after[index])
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("length", [1, 33, 600])
def test_attention_written_out_equals_flash_attention(length: int) -> None:
    """Longer than `SHORT` both are the same code; below, rounding differs."""
    heads = random_heads(length, torch.bfloat16)
    flash = F.scaled_dot_product_attention(*heads, is_causal=True)
    torch.testing.assert_close(causal_attention(0, *heads), flash, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_read_and_teach_a_shared_prefix(dtype: torch.dtype) -> None:
    """The same as plain attention of each row with a prefix of its own; the prefix gets the sum of the gradients."""
    prefix = 7
    heads = random_heads(prefix + sum(LENGTHS), dtype)
    upstream = torch.randn(1, 3, prefix + sum(LENGTHS), 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    full = [part.float() for part in heads]
    own = [part[:, :, prefix:].split(LENGTHS, dim=2) for part in full]
    expected = [F.scaled_dot_product_attention(*(part[:, :, :prefix] for part in full), is_causal=True)]
    for row in zip(*own, strict=True):
        whole = (torch.cat([part[:, :, :prefix], mine], dim=2) for part, mine in zip(full, row, strict=True))
        expected.append(F.scaled_dot_product_attention(*whole, is_causal=True)[:, :, prefix:])
    wanted = torch.cat(expected, dim=2)
    wanted_grads = torch.autograd.grad(wanted, heads, upstream.float())
    mine = packed_attention(Compute(CPU, dtype), LENGTHS, prefix)(0, *heads)
    grads = torch.autograd.grad(mine, heads, upstream)
    bound = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(mine, wanted.to(dtype), **bound)
    for ours, theirs in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(ours, theirs, **bound)


def test_flash_attention_is_given_no_shared_prefix() -> None:
    with pytest.raises(ValueError, match="cannot share a prefix"):
        packed_attention(Compute(torch.device("cuda"), torch.bfloat16), LENGTHS, prefix=7)


def test_the_device_and_the_format_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "VarlenAttention", lambda bounds, longest: "flash")
    monkeypatch.setattr(attention, "BlockAttention", lambda lengths, device, prefix: "blocks")
    chosen = {
        (device, dtype): packed_attention(Compute(torch.device(device), dtype), LENGTHS, bounds=row_bounds(LENGTHS))
        for device in ("cpu", "cuda")
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert [key for key, choice in chosen.items() if choice == "flash"] == [("cuda", torch.bfloat16)]


def test_the_kernel_takes_our_arguments() -> None:
    """No GPU is needed to see that the call fits this torch's kernel."""
    bound = inspect.signature(varlen_attn).bind(1, 2, 3, 4, 5, 6, 7, **CAUSAL)
    assert bound.arguments["max_k"] == 7


def test_the_first_release_of_the_kernel_is_asked_otherwise() -> None:
    def first(query: Tensor, is_causal: bool = False) -> None: ...

    assert attention.causal_option(first) == {"is_causal": True}


def test_where_no_gpu_needs_it_torchs_compiler_is_not_loaded() -> None:
    """It doubles the time that seven stages take to start."""
    script = (
        "import sys, stages.benchmark, stages.export, stages.finetune, stages.generate\n"
        "print('torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "False\n"

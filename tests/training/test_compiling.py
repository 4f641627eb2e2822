"""When compiling is worth its time, and that the count of operations is the network's."""

import shutil

import pytest
import torch

from reprotune.errors import UserError
from reprotune.model.gpt2 import GPT2, GPT2_SIZES
from reprotune.training.compiling import training_flops_per_token, worth_compiling

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MEDIUM = GPT2_SIZES["gpt2-medium"]


def test_auto_compiles_long_runs_on_a_gpu_only() -> None:
    assert not worth_compiling(MEDIUM, 10**9, "auto", CPU)
    assert worth_compiling(MEDIUM, 10**9, "auto", GPU)
    assert not worth_compiling(MEDIUM, 935 * 2 * 70, "auto", GPU)


def test_a_choice_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not worth_compiling(MEDIUM, 10**12, "never", GPU)
    assert worth_compiling(MEDIUM, 1, "always", GPU)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no C\\+\\+ compiler"):
        worth_compiling(MEDIUM, 1, "always", CPU)


@pytest.mark.parametrize("size", GPT2_SIZES)
def test_operations_are_six_per_weight_of_a_product(size: str) -> None:
    with torch.device("meta"):
        model = GPT2(GPT2_SIZES[size])
    products = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and name != "wpe.weight")
    assert training_flops_per_token(GPT2_SIZES[size]) == 6 * products
    assert training_flops_per_token(GPT2_SIZES[size], context=10) > 6 * products

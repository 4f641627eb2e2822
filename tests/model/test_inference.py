"""A model prepared for inference predicts what the plain one does."""

import copy
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from reprotune.compute.device import Compute
from reprotune.model.config import ModelConfig
from reprotune.model.inference import block_matrices, cast_matrices, prepare_for_inference
from reprotune.model.network import Network
from reprotune.model.weights import load_model

FP32 = Compute(torch.device("cpu"), torch.float32)
BF16 = Compute(torch.device("cpu"), torch.bfloat16)

needs_blocks = pytest.mark.skipif(not FP32.blocks_weights, reason="needs an x86 processor and oneDNN")
needs_bf16 = pytest.mark.skipif(not BF16.blocks_weights, reason="needs a processor on which oneDNN multiplies bf16")


@pytest.fixture
def plain(small_hub_model: GPT2LMHeadModel, tmp_path: Path) -> Network:
    small_hub_model.save_pretrained(tmp_path)
    return load_model(tmp_path)


def input_ids(model: Network) -> torch.Tensor:
    return torch.randint(0, model.config.vocab_size, (3, 20), generator=torch.Generator().manual_seed(2))


@needs_blocks
def test_logits_are_those_of_transformers(plain: Network, small_hub_model: GPT2LMHeadModel) -> None:
    prepare_for_inference(plain, FP32)
    assert not isinstance(plain.blocks[0].c_fc, torch.nn.Linear)
    ids = input_ids(plain)
    with torch.inference_mode():
        ours, theirs = plain.logits(plain(ids)), small_hub_model(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@needs_bf16
def test_bfloat16_errs_no_more_than_unblocked(plain: Network) -> None:
    ids = input_ids(plain)
    models = [copy.deepcopy(plain) for _ in range(2)]
    for model in models:
        cast_matrices(model, BF16)
    block_matrices(models[1])
    with torch.inference_mode():
        exact = plain.logits(plain(ids))
        with BF16.autocast():
            errors = [(model.logits(model(ids)).float() - exact).abs().mean() for model in models]
    assert 0 < errors[1] < 1.2 * errors[0]


def test_where_there_are_no_kernels_nothing_is_blocked(plain: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    prepare_for_inference(plain, FP32)
    assert isinstance(plain.blocks[0].c_fc, torch.nn.Linear)


def test_cast_matrices_leaves_norms_and_positions() -> None:
    model = Network(ModelConfig(n_layer=1, n_head=1, n_embd=8, n_positions=4, vocab_size=10))
    cast_matrices(model, BF16)
    kept = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32}
    norms = ("blocks.0.ln_1", "blocks.0.ln_2", "ln_f")
    assert kept == {"wpe.weight", *(f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias"))}

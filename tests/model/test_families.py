"""Every family against transformers: logits, gradients, decoding, and files that go both ways."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from reprotune.compute.device import Compute
from reprotune.dataset.collate import TokenRows, pack_rows, pad_rows
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.checkpoint import read_config
from reprotune.model.families import parameter_shapes
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network
from reprotune.model.weights import load_model, save_model
from reprotune.training.loss import batch_loss

CPU = Compute(torch.device("cpu"), torch.float32)
COMMON: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 24,
    "intermediate_size": 44,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
VARIANTS: dict[str, tuple[type[PreTrainedModel], Any, dict[str, Any]]] = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "llama, tied": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    "llama 3": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3, "eos_token_id": [2, 5]}),
    "llama, other head size": (LlamaForCausalLM, LlamaConfig, {"head_dim": 10}),
    "llama, biases": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama, a key head for each": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 6}),
    "llama, one key head": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 1}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2, tied": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 16}),
}
IDS = torch.randint(3, 97, (3, 40), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=VARIANTS)
def oracle(request: pytest.FixtureRequest) -> PreTrainedModel:
    kind, config, options = VARIANTS[request.param]
    torch.manual_seed(0)
    model = kind(config(**{**COMMON, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases too, so that none is its default by chance
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def ours(oracle: PreTrainedModel, tmp_path: Path) -> Network:
    oracle.save_pretrained(tmp_path / "oracle")
    return load_model(tmp_path / "oracle")


def test_logits_are_those_of_transformers(oracle: PreTrainedModel, ours: Network) -> None:
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours(IDS)), oracle(IDS).logits, atol=1e-4, rtol=0)


def test_the_list_of_parameters_is_the_networks(ours: Network) -> None:
    assert parameter_shapes(ours.config) == {name: tuple(p.shape) for name, p in ours.named_parameters()}
    products = sum(p.numel() for name, p in ours.named_parameters() if p.ndim == 2)
    embedding = 0 if ours.config.tied else ours.wte.weight.numel()
    assert ours.config.training_flops_per_token() == 6 * (products - embedding)


def rows_of(lengths: list[int], shared: int = 0) -> TokenRows:
    generator = torch.Generator().manual_seed(2)
    opening = torch.randint(3, 97, (shared,), generator=generator).tolist()
    drawn = [torch.randint(3, 97, (length,), generator=generator).tolist() for length in lengths]
    return TokenRows.from_lists([(opening + ids[: len(ids) // 2], ids[len(ids) // 2 :]) for ids in drawn])


def gradients(model: Network) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shared", [0, 12])
def test_loss_and_gradients_are_those_of_transformers(
    oracle: PreTrainedModel, ours: Network, tmp_path: Path, shared: int
) -> None:
    rows = rows_of([9, 17, 30, 6], shared)
    padded = pad_rows(rows, range(4), mask_instruction=False)
    padded.input_ids.clamp_(max=96)
    expected = torch.nn.functional.cross_entropy(
        oracle(padded.input_ids, attention_mask=torch.ones_like(padded.input_ids)).logits.flatten(0, 1),
        padded.targets.flatten(),
        reduction="sum",
    )
    expected.backward()
    oracle.save_pretrained(tmp_path / "gradients", state_dict={name: p.grad for name, p in oracle.named_parameters()})
    wanted = dict(load_model(tmp_path / "gradients").named_parameters())
    for batch in (padded, pack_rows(rows, range(4), False), pack_rows(rows, range(4), False, share_prefix=True)):
        ours.zero_grad(set_to_none=True)
        loss = batch_loss(ours, batch, CPU)
        loss.backward()
        torch.testing.assert_close(loss, expected.detach(), atol=1e-3, rtol=1e-5)
        for name, gradient in gradients(ours).items():
            torch.testing.assert_close(
                gradient, wanted[name], atol=1e-4, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )


@pytest.mark.parametrize("blocked", [False, True])
def test_greedy_answers_are_those_of_transformers(oracle: PreTrainedModel, ours: Network, blocked: bool) -> None:
    prompts = [IDS[0, :n].tolist() for n in (3, 11, 20, 29)]
    if blocked:
        prepare_for_inference(ours, CPU)
    ends = ours.config.end_of_text
    settings = DecodingSettings(max_new_tokens=12, batch_size=3, end_of_text=ends[:1])
    for prompt, answer in zip(prompts, generate(ours, prompts, settings), strict=True):
        whole = oracle.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=ends[0], pad_token_id=0
        )
        expected = whole[0, len(prompt) :].tolist()
        assert answer.token_ids == (expected[:-1] if expected[-1] == ends[0] else expected)


def test_transformers_reads_what_we_save(oracle: PreTrainedModel, ours: Network, tmp_path: Path) -> None:
    save_model(ours, tmp_path / "ours")
    back, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert type(back) is type(oracle) and back.config.eos_token_id == oracle.config.eos_token_id
    for name, tensor in oracle.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    with torch.no_grad():
        torch.testing.assert_close(back.eval()(IDS).logits, oracle(IDS).logits)
    assert read_config(tmp_path / "ours" / "config.json") == ours.config


def test_bfloat16_stays_bfloat16(ours: Network, tmp_path: Path) -> None:
    save_model(ours.bfloat16(), tmp_path / "half", torch.bfloat16)
    again = load_model(tmp_path / "half", dtype=torch.bfloat16)
    for one, other in zip(ours.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert replace(again.config) == ours.config

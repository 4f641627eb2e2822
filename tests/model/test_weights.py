"""Hugging Face folders in and out, with transformers as writer and reader on the other side."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2LMHeadModel

from reprotune.errors import UserError
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.weights import load_model, read_config, save_model

INPUT_IDS = torch.arange(40).reshape(2, 20)


def logits(folder: Path) -> Tensor:
    model = load_model(folder)
    with torch.no_grad():
        return model.logits(model(INPUT_IDS))


@pytest.fixture
def folder(small_hub_model: GPT2LMHeadModel, tmp_path: Path) -> Path:
    path = tmp_path / "hub"
    small_hub_model.save_pretrained(path)
    return path


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, edit: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def test_round_trip_with_transformers(hub_model: GPT2LMHeadModel, tmp_path: Path) -> None:
    hub_model.save_pretrained(tmp_path / "theirs")
    model = load_model(tmp_path / "theirs")
    save_model(model, tmp_path / "ours")
    returned, info = GPT2LMHeadModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for (name, ours), theirs in zip(returned.state_dict().items(), hub_model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    with torch.no_grad():
        torch.testing.assert_close(returned(INPUT_IDS).logits, model.logits(model(INPUT_IDS)), atol=1e-4, rtol=0)
    prompt = INPUT_IDS[:1]
    expected = hub_model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False, eos_token_id=None
    )
    answer = generate(model, prompt.tolist(), DecodingSettings(max_new_tokens=6, batch_size=1, end_of_text=(-1,)))
    assert answer[0].token_ids == expected[0, 20:].tolist()


def test_saved_config_is_that_of_a_tied_gpt2(folder: Path, tmp_path: Path) -> None:
    save_model(load_model(folder), tmp_path / "ours")
    config = GPT2LMHeadModel.from_pretrained(tmp_path / "ours").config
    assert (config.model_type, config.architectures) == ("gpt2", ["GPT2LMHeadModel"])
    assert (config.activation_function, config.tie_word_embeddings) == ("gelu_new", True)
    assert (config.bos_token_id, config.eos_token_id, config.dtype) == (50256, 50256, torch.float32)
    assert read_config(tmp_path / "ours/config.json") == read_config(folder / "config.json")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_same_weights_give_same_bytes(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    for name in ("a", "b"):
        save_model(load_model(folder), tmp_path / name, dtype)
    save_model(load_model(tmp_path / "a"), tmp_path / "c", dtype)
    for name in ("config.json", "model.safetensors"):
        contents = {(tmp_path / copy / name).read_bytes() for copy in "abc"}
        assert len(contents) == 1, name
    tensors = load_file(tmp_path / "a" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}
    assert "h.0.attn.c_attn.weight" in tensors and tensors["h.0.attn.c_attn.weight"].shape == (8, 24)


def test_reads_the_hubs_first_files(folder: Path) -> None:
    """Names without prefix, mask buffers and an explicit copy of the head, as in the hub's `gpt2`."""
    expected = logits(folder)

    def as_on_the_hub(tensors: dict[str, Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["lm_head.weight"] = tensors["wte.weight"].clone()
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 48, 48)
        tensors["h.1.attn.masked_bias"] = torch.tensor(-1e4)

    edit_tensors(folder, as_on_the_hub)
    assert torch.equal(logits(folder), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reads_half_precision_files(small_hub_model: GPT2LMHeadModel, tmp_path: Path, dtype: torch.dtype) -> None:
    small_hub_model.to(dtype).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.no_grad():
        expected = small_hub_model.float()(INPUT_IDS).logits
        torch.testing.assert_close(model.logits(model(INPUT_IDS)), expected, atol=1e-4, rtol=0)
    assert {parameter.dtype for parameter in load_model(tmp_path, dtype=dtype).parameters()} == {dtype}


def test_reads_sharded_checkpoints(small_hub_model: GPT2LMHeadModel, folder: Path, tmp_path: Path) -> None:
    small_hub_model.save_pretrained(tmp_path / "shards", max_shard_size="5KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert torch.equal(logits(tmp_path / "shards"), logits(folder))


def test_loaded_weights_outlive_the_file(folder: Path) -> None:
    model = load_model(folder)
    before = model.logits(model(INPUT_IDS))
    path = folder / "model.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(model.logits(model(INPUT_IDS)), before)


def rename(tensors: dict[str, Tensor], old: str, new: str) -> None:
    tensors[new] = tensors.pop(old)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda tensors: tensors.pop("transformer.h.1.ln_1.bias"), r"tensor h\.1\.ln_1\.bias is missing"),
        (
            lambda tensors: tensors.update(extra=torch.ones(2)),
            r"tensors that a language model of type gpt2 does not have \(extra\)",
        ),
        (lambda tensors: tensors.update({"transformer.wpe.weight": torch.ones(3, 8)}), r"wpe\.weight .*\[3, 8\].*48"),
        (lambda tensors: tensors.update({"lm_head.weight": torch.ones(211, 8)}), "head is tied"),
        (
            lambda tensors: tensors.update({"transformer.ln_f.bias": torch.ones(8, dtype=torch.int8)}),
            "'transformer.ln_f.bias' is I8",
        ),
    ],
)
def test_wrong_tensors_are_named(folder: Path, edit: Callable[[dict[str, Tensor]], None], message: str) -> None:
    edit_tensors(folder, edit)
    with pytest.raises(UserError, match=message):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "model_type is 'gemma3'"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"n_layer": "two"}, "n_layer is 'two', but it should be a whole number from 1 to 1000"),
        ({"n_head": 3}, "not a multiple"),
        ({"n_inner": 7}, "h.0.mlp.c_fc.weight is of shape"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}"),
    ],
)
def test_wrong_configs_are_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(UserError, match=message):
        load_model(folder)


def test_unreadable_folders_are_explained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_model(tmp_path / "nowhere")
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="not a complete safetensors file"):
        load_model(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no pickled weights"):
        load_model(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "../secret.safetensors"}}')
    with pytest.raises(UserError, match=r"names \'\.\./secret\.safetensors\'"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        load_model(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(folder: Path, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.h.0.attn.c_proj.bias"][3] = value
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"tensor h\.0\.attn\.c_proj\.bias holds NaN or infinity"):
        load_model(folder)


def test_a_tensor_in_two_shards_is_named(small_hub_model: GPT2LMHeadModel, tmp_path: Path) -> None:
    small_hub_model.save_pretrained(tmp_path, max_shard_size="4KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    tensors = load_file(shards[0])
    name = next(iter(load_file(shards[1])))
    save_file({**tensors, name: torch.zeros(3)}, shards[0])
    with pytest.raises(UserError, match=rf"{name.removeprefix('transformer.')}' is stored twice"):
        load_model(tmp_path)


def test_a_tensor_named_twice_in_one_header_is_named(folder: Path) -> None:
    """By the library: the bytes of the entry that counts for nothing are a gap."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    twice = header.rstrip().replace(b"ln_f.weight", b"ln_f.bias", 1)
    assert twice.count(b"ln_f.bias") == 2
    path.write_bytes(len(twice).to_bytes(8, "little") + twice + data)
    with pytest.raises(UserError, match=r"invalid offset for tensor `transformer\.ln_f\.bias`"):
        load_model(folder)


def test_a_key_that_occurs_twice_in_a_config_is_named(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace("{", '{"n_head": 1, ', 1))
    with pytest.raises(UserError, match="the key 'n_head' occurs twice"):
        load_model(folder)


def test_saved_weights_can_be_read_by_whoever_may_read_the_folder(folder: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_model(load_model(folder), tmp_path / "saved")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "saved").iterdir()} == {0o644}

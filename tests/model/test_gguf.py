"""GGUF files against transformers' own loading of them, and files that must be refused."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from reprotune.errors import UserError
from reprotune.model.gguf import read_gguf
from reprotune.model.source import fetch_base
from reprotune.model.weights import load_model
from reprotune.params.sections.fetch import BaseParams

WIDTH, HEADS, KEY_HEADS, INNER, VOCABULARY, LAYERS = 64, 4, 2, 96, 260, 2
IDS = torch.randint(0, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(1))
MATRIX = gguf.GGMLQuantizationType.Q8_0


def with_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = ["<|start|>", "<|x|>", "<|end|>", *sorted(ByteLevel.alphabet()), "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    writer.add_token_merges(["a b"])


def llama_file(
    path: Path,
    architecture: str = "llama",
    stored_as: gguf.GGMLQuantizationType | None = None,
    change: Callable[[gguf.GGUFWriter], None] = with_tokenizer,
    tied: bool = False,
) -> Path:
    """Write a random Llama miniature, as llama.cpp's converter names and orders things."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(20_000.0)
    writer.add_vocab_size(VOCABULARY)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    change(writer)
    shapes = {"token_embd.weight": (VOCABULARY, WIDTH), "output_norm.weight": (WIDTH,)}
    if not tied:
        shapes["output.weight"] = (VOCABULARY, WIDTH)
    key_width = WIDTH // HEADS * KEY_HEADS
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.{name}.weight": shape
            for name, shape in {
                "attn_norm": (WIDTH,),
                "attn_q": (WIDTH, WIDTH),
                "attn_k": (key_width, WIDTH),
                "attn_v": (key_width, WIDTH),
                "attn_output": (WIDTH, WIDTH),
                "ffn_norm": (WIDTH,),
                "ffn_gate": (INNER, WIDTH),
                "ffn_up": (INNER, WIDTH),
                "ffn_down": (WIDTH, INNER),
            }.items()
        }
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        values = random.normal(0, 0.1, shape).astype(np.float32) + (len(shape) == 1)
        if stored_as is not None and len(shape) == 2:
            writer.add_tensor(name, gguf.quantize(values, stored_as), raw_dtype=stored_as)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fetched(source: Path, folder: Path) -> Path:
    fetch_base(BaseParams(source=str(source), revision=None), folder)
    return folder


@pytest.mark.parametrize("stored_as", [None, MATRIX, gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.BF16])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_those_that_transformers_finds(
    tmp_path: Path, stored_as: gguf.GGMLQuantizationType | None, tied: bool
) -> None:
    source = llama_file(tmp_path / "model.gguf", stored_as=stored_as, tied=tied)
    ours = load_model(fetched(source, tmp_path / "base"))
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=source.name, dtype=torch.float32).eval()
    assert ours.config.tied == tied
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours(IDS)), oracle(IDS).logits, atol=1e-4, rtol=0)


def test_what_was_stored_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = llama_file(tmp_path / "model.gguf", stored_as=MATRIX)
    model = read_gguf(source)
    assert model.quantisation == {"F32": 5, "Q8_0": 16}
    fetched(source, tmp_path / "base")
    assert "F32 (5 tensors), Q8_0 (16 tensors)" in capsys.readouterr().err
    assert '"Q8_0": 16' in (tmp_path / "base" / "gguf.json").read_text()


def test_gpt2_comes_back_as_it_went(small_hub_model: GPT2LMHeadModel, tmp_path: Path) -> None:
    source = tmp_path / "gpt2.gguf"
    small_hub_model.save_pretrained(tmp_path / "hub")
    config = small_hub_model.config
    writer = gguf.GGUFWriter(source, "gpt2")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, config.n_layer)
    for name, tensor in small_hub_model.state_dict().items():
        part, kind = name.rsplit(".", 1)
        matrix = part.endswith(("c_attn", "c_proj", "c_fc")) and kind == "weight"
        values = np.ascontiguousarray((tensor.T if matrix else tensor).numpy())
        writer.add_tensor(f"{names.get_name(part)}.{kind}", values)  # a copy of the head among them
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (tmp_path / "base").mkdir()
    read_gguf(source).write(tmp_path / "base")
    ours, theirs = load_model(tmp_path / "base"), load_model(tmp_path / "hub")
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        (
            "gemma3",
            lambda _: None,
            "general.architecture is 'gemma3', but Reprotune's network needs one of gpt2, llama",
        ),
        ("llama", lambda writer: writer.add_expert_count(8), "llama.expert_count is 8"),
        ("llama", lambda writer: writer.add_sliding_window(16), "llama.attention.sliding_window is 16"),
        ("llama", lambda writer: writer.add_rope_dimension_count(8), "rope.dimension_count is 8"),
        (
            "llama",
            lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.YARN),
            "rope.scaling.type is 'yarn'",
        ),
        ("llama", lambda writer: writer.add_block_count(3), "tensor layers.2.input_layernorm.weight is missing"),
        ("llama", lambda writer: writer.add_head_count_kv(3), "4 is not a multiple of head_count_kv 3"),
        (
            "llama",
            lambda writer: writer.add_tensor("rope_freqs.weight", np.linspace(1, 3, 8, dtype=np.float32)),
            "rope_freqs.weight is 'unknown'",
        ),
        (
            "llama",
            lambda writer: writer.add_tensor("extra.weight", np.zeros(4, dtype=np.float32)),
            r"does not have \(extra.weight\)",
        ),
    ],
)
def test_models_that_cannot_be_computed_are_refused(
    tmp_path: Path, architecture: str, change: Callable[[gguf.GGUFWriter], None], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_gguf(llama_file(tmp_path / "model.gguf", architecture, change=change))


@pytest.mark.parametrize("cut", [0, 3, 10, 100, 1000, -1, -5000])
def test_damaged_files_end_in_one_sentence(tmp_path: Path, cut: int) -> None:
    whole = llama_file(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:cut])
    with pytest.raises(UserError, match=r"cut\.gguf is not a complete GGUF file"):
        read_gguf(tmp_path / "cut.gguf").write(tmp_path)
    with pytest.raises(UserError, match="there is no file"):
        fetched(tmp_path / "absent.gguf", tmp_path / "base")


@pytest.mark.slow
def test_smollm2_is_that_of_transformers(smollm_file: Path, tmp_path: Path) -> None:
    source = smollm_file
    ours = load_model(fetched(source, tmp_path / "base"))
    oracle = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32).eval()
    ids = torch.randint(0, 49152, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours(ids)), oracle(ids).logits, atol=1e-3, rtol=0)
    for name, tensor in AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict().items():
        assert torch.equal(tensor, oracle.state_dict()[name]), name

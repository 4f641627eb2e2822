"""GGUF files, llama.cpp's format, for the tests against its server."""

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
"""Linear layers that Hugging Face's GPT-2 files hold as [in, out]; GGUF wants [out, in]."""


def write_gguf(checkpoint: Path, target: Path, chat_template: str) -> None:
    """Convert a folder in Hugging Face layout (config, float32 safetensors, GPT-2 tokenizer) into one GGUF file."""
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "gpt2")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    _add_tokenizer(writer, checkpoint, config["eos_token_id"], chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, config["n_layer"])
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        part, kind = name.rsplit(".", 1)
        known = names.get_name(part)
        assert known is not None, name
        values = tensor.T if name.endswith(TRANSPOSED) else tensor
        writer.add_tensor(f"{known}.{kind}", np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_full_numbers(source: Path, target: Path) -> None:
    """Write a GGUF file again with its quantised tensors as float32."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        of_items = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=of_items)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, checkpoint: Path, end_of_text: int, chat_template: str) -> None:
    ids = json.loads((checkpoint / "vocab.json").read_text())
    merges = (checkpoint / "merges.txt").read_text().splitlines()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(ids, key=ids.__getitem__))
    control = [gguf.TokenType.NORMAL] * (len(ids) - 1) + [gguf.TokenType.CONTROL]
    writer.add_token_types(control)
    writer.add_token_merges([line for line in merges if line and not line.startswith("#version")])
    writer.add_bos_token_id(end_of_text)
    writer.add_eos_token_id(end_of_text)
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)

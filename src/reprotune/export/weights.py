"""Models as GGUF files, llama.cpp's format, in which Ollama, LM Studio and others read them too.

Matrices are stored as F16 or in blocks of 32 weights with a common factor (Q8_0, Q4_0); norms, biases and learned
positions stay float32. llama.cpp interleaves the two halves of each query and key head of Llama, and has learned no
name of its own for Mistral, which is a Llama there. The same weights give the same bytes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from torch import Tensor

from reprotune.artifacts import replaced_file
from reprotune.dataset.tokenizers.document import TokenizerFiles
from reprotune.errors import UserError
from reprotune.export.vocabulary import add_vocabulary
from reprotune.model.config import ModelConfig, Rotary
from reprotune.model.families import EMBEDDING, FAMILIES, HEAD, StoredTensor, stored_tensors
from reprotune.model.gguf import ARCHITECTURES, INTERLEAVED
from reprotune.model.network import Network
from reprotune.model.rotary import stretched_frequencies
from reprotune.params.sections.export import Quantisation

Kind = gguf.GGMLQuantizationType

FORMATS = {
    "f16": (Kind.F16, Kind.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (Kind.Q8_0, Kind.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (Kind.Q4_0, Kind.Q8_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
"""Quantisation -> how matrices are stored, how the embedding and the head, and what the file calls it."""
BLOCK = 32
LLAMAS = ("llama", "mistral")


def write_gguf(
    model: Network,
    files: TokenizerFiles,
    ends: tuple[int, ...],
    chat_template: str,
    quantisation: Quantisation,
    target: Path,
) -> None:
    """Write a model with its tokenizer and chat template into one GGUF file; `ends` are the ids that end a text.

    Raises `UserError` for a tokenizer that llama.cpp does not have, and for weights that float16 cannot hold.
    """
    config = model.config
    matrices, embedding, file_type = FORMATS[quantisation]
    with replaced_file(target) as temporary:
        writer = gguf.GGUFWriter(temporary, _architecture(config))
        try:
            _add_sizes(writer, config)
            writer.add_file_type(file_type)
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            add_vocabulary(writer, files, config, ends, chat_template)
            names = gguf.get_tensor_name_map(ARCHITECTURES[_architecture(config)], config.n_layer)
            parameters = dict(model.named_parameters())
            if config.rotary is not None and config.rotary.scaling is not None:
                writer.add_tensor("rope_freqs.weight", _stretching(config.rotary, config.head_size))
            for stored in stored_tensors(config):
                name = _name(names, stored, config)
                outer = stored.parameter.startswith((EMBEDDING, HEAD))
                kind = embedding if outer else matrices
                _add_tensor(writer, name, _values(parameters[stored.parameter], stored, config), kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def _architecture(config: ModelConfig) -> str:
    return "llama" if config.family == "mistral" else config.family


def _add_sizes(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.n_inner)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    if config.rotary is None:
        writer.add_layer_norm_eps(config.norm_eps)
        return
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_head_count_kv(config.n_kv_head)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_rope_freq_base(config.rotary.theta)
    writer.add_vocab_size(config.vocab_size)


def _stretching(rotary: Rotary, head_size: int) -> npt.NDArray[np.float32]:
    """Return by what each frequency is divided where Llama 3's rotary positions are stretched, [D / 2]."""
    plain = stretched_frequencies(replace(rotary, scaling=None), head_size)
    return _array(plain / stretched_frequencies(rotary, head_size))


def _name(names: gguf.TensorNameMap, stored: StoredTensor, config: ModelConfig) -> str:
    part, _, kind = stored.name.rpartition(".")
    return f"{names.get_name(part) or names.get_name(FAMILIES[config.family].prefix + part)}.{kind}"


def _values(parameter: Tensor, stored: StoredTensor, config: ModelConfig) -> npt.NDArray[np.float32]:
    """Return the weights that a tensor of the family's files holds, [out, in] or [width]."""
    rows = parameter.detach()[stored.start : stored.start + stored.rows].cpu().float()
    if config.family in LLAMAS and any(f".{part}." in stored.name for part in INTERLEAVED):
        heads = config.n_head if "q_proj" in stored.name else config.n_kv_head
        rows = rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return _array(rows)


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return np.ascontiguousarray(tensor.numpy())


def _add_tensor(writer: gguf.GGUFWriter, name: str, values: npt.NDArray[np.float32], kind: Kind) -> None:
    if values.ndim == 1 or name.startswith("position_embd"):
        kind = Kind.F32
    elif kind != Kind.F16 and values.shape[-1] % BLOCK:
        kind = Kind.F16
    if kind == Kind.F16 and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise UserError(
            f"{name} holds weights that float16 cannot: set export.quantisations to [q8_0], or export.formats to []"
        )
    writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

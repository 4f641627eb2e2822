"""Base models from GGUF files, llama.cpp's format: weights back in full numbers, in Hugging Face layout.

Quantised weights are multiplied out (float32, exactly what their blocks stand for), others keep their format. For
Llama, llama.cpp interleaves the two halves of each query and key head; that is undone here. Metadata and tensors are
read through the `gguf` package, which maps the file and runs nothing from it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from reprotune.artifacts import write_json, write_text
from reprotune.errors import UserError
from reprotune.model.checkpoint import CONFIG, HEAD_TENSOR, WEIGHTS, check_tensors, config_json
from reprotune.model.config import Llama3Scaling, ModelConfig, Rotary
from reprotune.model.config_fields import ConfigFields
from reprotune.model.families import FAMILIES, Shape, stored_tensors
from reprotune.model.rotary import stretched_frequencies
from reprotune.scratch import file_sha256

ORIGIN = "gguf.json"
ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
"""Architecture in the file, which is also our family, -> how the package names its tensors."""
INTERLEAVED = ("self_attn.q_proj", "self_attn.k_proj")
FULL_NUMBERS = {
    gguf.GGMLQuantizationType.F32: torch.float32,
    gguf.GGMLQuantizationType.F16: torch.float16,
    gguf.GGMLQuantizationType.BF16: torch.bfloat16,
}
LLAMA3_ORIGINAL = 8192
LLAMA3_LOW, LLAMA3_HIGH = 1.0, 4.0
"""What every released Llama 3.x has; the file holds the resulting factors instead."""


@dataclass(frozen=True)
class GGUFModel:
    """A GGUF file whose tensors are those of its config."""

    path: Path
    config: ModelConfig
    metadata: dict[str, Any]
    """Every key of the file with its value."""
    tensors: dict[str, gguf.ReaderTensor]
    """The hub's name of each weight -> the tensor in the file."""

    @property
    def quantisation(self) -> dict[str, int]:
        """How many tensors are stored in which format."""
        return dict(sorted(Counter(tensor.tensor_type.name for tensor in self.tensors.values()).items()))

    def write(self, folder: Path) -> None:
        """Write config.json, the weights and where they are from; tokenizer files are the caller's."""
        dtypes = {FULL_NUMBERS.get(tensor.tensor_type, torch.float32) for tensor in self.tensors.values()}
        # Norms are always float32; the format of the model is that of its matrices.
        matrix = {dtype for dtype in dtypes if dtype != torch.float32} or {torch.float32}
        name = str(min(matrix, key=str)).removeprefix("torch.") if len(matrix) == 1 else "float32"
        write_text(folder / CONFIG, config_json(self.config, name))
        save_file(dict(self._weights()), folder / WEIGHTS, metadata={"format": "pt"})
        (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)
        origin = {"file": self.path.name, "sha256": file_sha256(self.path), "stored_as": self.quantisation}
        write_json(folder / ORIGIN, origin)

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        prefix = FAMILIES[self.config.family].saved_prefix
        for stored in stored_tensors(self.config):
            weight = _full_numbers(self.tensors[stored.name])
            if self.config.family == "llama" and any(f".{part}." in stored.name for part in INTERLEAVED):
                heads = self.config.n_head if "q_proj" in stored.name else self.config.n_kv_head
                weight = _halves_apart(weight, heads)
            weight = weight.t() if stored.transposed else weight
            yield stored.name if stored.name == HEAD_TENSOR else prefix + stored.name, weight.contiguous()


def read_gguf(path: Path) -> GGUFModel:
    """Read the metadata and the list of tensors; raises `UserError` unless our network computes the model.

    No weight is read yet, so that a file that cannot be used is refused at once.
    """
    try:
        reader = gguf.GGUFReader(path)
        metadata = {name: field.contents() for name, field in reader.fields.items()}
    except OSError:
        raise
    except Exception as error:  # the package checks little: a damaged file can end it in any way
        raise UserError(f"{path} is not a complete GGUF file ({type(error).__name__}): fetch it again") from error
    found = {tensor.name: tensor for tensor in reader.tensors}
    if len(found) < len(reader.tensors):
        raise UserError(f"{path} holds two tensors of the same name: fetch it again")
    config = _config(ConfigFields(metadata, path), found)
    found_embedding = found["token_embd.weight"]
    names = gguf.get_tensor_name_map(ARCHITECTURES[config.family], config.n_layer)
    tensors: dict[str, gguf.ReaderTensor] = {}
    prefix = FAMILIES[config.family].prefix
    for stored in stored_tensors(config):
        part, _, kind = stored.name.rpartition(".")
        known = names.get_name(part) or names.get_name(prefix + part)
        tensor = found.pop(f"{known}.{kind}", None)
        if tensor is not None:
            tensors[stored.name] = tensor
    found.pop("rope_freqs.weight", None)
    if config.tied and _same(found.get("output.weight"), found_embedding):
        del found["output.weight"]
    shapes = {name: _Header(_hub_shape(tensor, name, config)) for name, tensor in tensors.items()}
    check_tensors(cast(Any, shapes | {name: _Header(()) for name in found}), config, path)
    return GGUFModel(path, config, metadata, tensors)


def _same(head: gguf.ReaderTensor | None, embedding: gguf.ReaderTensor) -> bool:
    """Tell whether a head is a copy of the embedding, as llama.cpp writes for GPT-2."""
    return head is not None and head.tensor_type == embedding.tensor_type and np.array_equal(head.data, embedding.data)


@dataclass(frozen=True)
class _Header:
    """What `check_tensors` wants to know of a tensor."""

    shape: Shape


def _hub_shape(tensor: gguf.ReaderTensor, name: str, config: ModelConfig) -> Shape:
    """Return the shape that the hub's files would have; GGUF lists the fastest dimension first."""
    shape = tuple(int(size) for size in reversed(tensor.shape))
    transposed = {stored.name for stored in stored_tensors(config) if stored.transposed}
    return shape[::-1] if name in transposed else shape


def _config(fields: ConfigFields, tensors: dict[str, gguf.ReaderTensor]) -> ModelConfig:
    family = fields.document.get("general.architecture")
    if not isinstance(family, str) or family not in ARCHITECTURES:
        fields.refuse("general.architecture", family, f"one of {', '.join(ARCHITECTURES)}")
    if "token_embd.weight" not in tensors:
        raise UserError(f"{fields.path} has no tensor token_embd.weight: fetch it again")
    vocabulary = int(tensors["token_embd.weight"].shape[-1])

    def size(key: str, default: int | None = None) -> int:
        return fields.size(f"{family}.{key}", default)

    common = ModelConfig(
        n_layer=size("block_count"),
        n_head=size("attention.head_count"),
        n_embd=size("embedding_length"),
        n_positions=size("context_length"),
        vocab_size=vocabulary,
        n_inner=size("feed_forward_length"),
        family=family,
        begin_of_text=fields.token("tokenizer.ggml.bos_token_id"),
        end_of_text=fields.tokens("tokenizer.ggml.eos_token_id"),
    )
    if family == "gpt2":
        return replace(common, norm_eps=_rounded(fields.number("gpt2.attention.layer_norm_epsilon", 1e-5)))
    kv_heads = size("attention.head_count_kv", common.n_head)
    fields.check_multiple("attention.head_count", common.n_head, "head_count_kv", kv_heads)
    for option in ("expert_count", "attention.sliding_window"):
        if fields.document.get(f"{family}.{option}"):
            fields.refuse(f"{family}.{option}", fields.document[f"{family}.{option}"], "none")
    head_size = size("attention.key_length", common.n_embd // common.n_head)
    return replace(
        common,
        n_kv_head=kv_heads,
        head_size=head_size,
        norm="rms",
        norm_eps=_rounded(fields.number(f"{family}.attention.layer_norm_rms_epsilon", 1e-6)),
        rotary=_rotary(fields, family, head_size, tensors),
        gated=True,
        qkv_bias="blk.0.attn_q.bias" in tensors,
        out_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_down.bias" in tensors,
        qk_norm="blk.0.attn_q_norm.weight" in tensors,
        tied="output.weight" not in tensors,
    )


def _rotary(fields: ConfigFields, family: str, head_size: int, tensors: dict[str, gguf.ReaderTensor]) -> Rotary:
    kind = fields.document.get(f"{family}.rope.scaling.type", "none")
    if kind not in ("none", ""):
        fields.refuse(f"{family}.rope.scaling.type", kind, "'none'")
    turned = fields.size(f"{family}.rope.dimension_count", head_size)
    if turned != head_size:
        fields.refuse(f"{family}.rope.dimension_count", turned, f"all {head_size} of a head")
    rotary = Rotary(_rounded(fields.number(f"{family}.rope.freq_base", 10_000.0)))
    if "rope_freqs.weight" not in tensors:
        return rotary
    factors = torch.from_numpy(np.array(tensors["rope_freqs.weight"].data, dtype=np.float32))
    scaling = Llama3Scaling(float(factors.max()), LLAMA3_LOW, LLAMA3_HIGH, LLAMA3_ORIGINAL)
    plain, stretched = (stretched_frequencies(Rotary(rotary.theta, one), head_size) for one in (None, scaling))
    if factors.shape != plain.shape or not torch.allclose(plain / stretched, factors, rtol=1e-3):
        fields.refuse("rope_freqs.weight", "unknown", "the factors of Llama 3")
    return replace(rotary, scaling=scaling)


def _rounded(value: float) -> float:
    """Return the number that was meant by a float32 of the file: 9.999999747378752e-06 is 1e-05."""
    return float(f"{value:.7g}")


def _full_numbers(tensor: gguf.ReaderTensor) -> Tensor:
    """Return a tensor's weights, [out, in] or [width]."""
    dtype = FULL_NUMBERS.get(tensor.tensor_type)
    shape = tuple(int(size) for size in reversed(tensor.shape))
    if dtype == torch.bfloat16:
        return torch.from_numpy(np.array(tensor.data)).view(torch.bfloat16).reshape(shape)
    if dtype is not None:
        return torch.from_numpy(np.array(tensor.data)).reshape(shape)
    try:
        weights: npt.NDArray[np.float32] = gguf.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise UserError(
            f"tensor {tensor.name} is stored as {tensor.tensor_type.name}, which cannot be multiplied out here: fetch "
            "the model in another quantisation, such as Q8_0 or F16"
        ) from error
    return torch.from_numpy(np.ascontiguousarray(weights)).reshape(shape)


def _halves_apart(weight: Tensor, heads: int) -> Tensor:
    """Undo llama.cpp's order of the rows of queries and keys, in which the halves of each head alternate."""
    pairs = weight.shape[0] // heads // 2
    return weight.unflatten(0, (heads, pairs, 2)).transpose(1, 2).flatten(0, 2)

"""GPT-2 checkpoints in Hugging Face layout: what config.json says, which tensors there must be, where they are stored.

Only safetensors are read, never pickles (.bin, .pt, .h5). Checking reads headers alone and does not import torch.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from reprotune.errors import UserError
from reprotune.untrusted import clipped

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

PREFIX = "transformer."
HEAD = "lm_head.weight"
MASK_BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
"""Older files also store the causal mask of each layer; it is no weight."""

DTYPES = ("F32", "F16", "BF16")
SHOWN_TENSORS = 3

Shape = tuple[int, ...]

END_OF_TEXT = 50256

SUPPORTED_OPTIONS: dict[str, tuple[Any, ...]] = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of one function
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}
"""Values of config.json that our network implements; a missing key means the first of them."""

SAVED_OPTIONS = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
    "bos_token_id": END_OF_TEXT,
    "eos_token_id": END_OF_TEXT,
    "n_inner": None,
    "initializer_range": 0.02,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "use_cache": True,
}
LARGEST = {"n_layer": 1_000, "n_head": 1_000, "n_embd": 100_000, "n_positions": 1_000_000, "vocab_size": 1_000_000}
"""Limits of the sizes in config.json, far above any model: beyond, it is the file that is wrong."""


@dataclass(frozen=True)
class GPT2Config:
    """Shape of a GPT-2; the names are those of config.json."""

    n_layer: int
    n_head: int
    n_embd: int
    n_positions: int = 1024
    vocab_size: int = 50257
    layer_norm_epsilon: float = 1e-5

    def training_flops_per_token(self, context: float = 0) -> float:
        """Floating-point operations of forward and backward per token: 6 per weight of a matrix product, head included.

        `context` is the mean number of earlier tokens that a token attends to; attention adds 12 per layer, width and
        such token (the PaLM paper, appendix B, arXiv:2204.02311, for causal attention).
        """
        weights = 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd
        return 6.0 * weights + 12 * self.n_layer * self.n_embd * context


GPT2_SIZES = {
    "gpt2": GPT2Config(n_layer=12, n_head=12, n_embd=768),
    "gpt2-medium": GPT2Config(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": GPT2Config(n_layer=48, n_head=25, n_embd=1600),
}


def read_config(path: Path) -> GPT2Config:
    """Read a config.json; raises `UserError` unless our network computes the model that it describes."""
    document = read_json_object(path)
    if document.get("model_type") != "gpt2":
        raise UserError(
            f"{path}: model_type is {document.get('model_type')!r}, but Reprotune's network needs 'gpt2': choose "
            "another model"
        )
    for option, supported in SUPPORTED_OPTIONS.items():
        value = document.get(option, supported[0])
        if value not in supported:
            raise UserError(
                f"{path}: {option} is {value!r}, but Reprotune's network needs {supported[0]!r}: choose another model"
            )
    config = GPT2Config(
        **{field.name: _size(document, field.name, field.default, path) for field in fields(GPT2Config)}
    )
    if config.n_embd % config.n_head:
        raise UserError(f"{path}: n_embd {config.n_embd} is not a multiple of n_head {config.n_head}: fix the file")
    inner = 4 * config.n_embd
    if document.get("n_inner") not in (None, inner):
        raise UserError(
            f"{path}: n_inner is {document['n_inner']!r}, but Reprotune's network needs 4 * n_embd = {inner}: choose "
            "another model"
        )
    return config


def check_rank(rank: int, width: int) -> None:
    """Raise `UserError` if adapters would have a higher rank than the matrices that they change."""
    if rank > width:
        raise UserError(
            f"finetune.lora.rank is {rank}, but the model's matrices have rank {width} at most: lower it (8 to 64 is "
            "usual), or set finetune.method to full"
        )


def config_json(config: GPT2Config, dtype: str) -> str:
    """Return the text of the config.json for weights stored as `dtype` (`float32`, ...)."""
    document = SAVED_OPTIONS | asdict(config) | {"n_ctx": config.n_positions, "torch_dtype": dtype}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_json_object(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a checkpoint.

    Raises `UserError` where it is missing, not an object, or has a key twice: it would be a guess which one was meant.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: give a folder in Hugging Face layout")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fetch it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: fetch it again")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"the key {clipped(twice, 60)!r} occurs twice")
    return found


class StoredTensor(NamedTuple):
    """A tensor in an open file; nothing but the header has been read."""

    file: Any
    key: str

    @property
    def shape(self) -> Shape:
        """Its shape, from the header."""
        return tuple(self.file.get_slice(self.key).get_shape())

    @property
    def dtype(self) -> str:
        """Its number format as safetensors calls it, e.g. `BF16`."""
        return str(self.file.get_slice(self.key).get_dtype())

    def read(self) -> Any:
        """Read it, as a tensor of the framework that the file was opened for."""
        return self.file.get_tensor(self.key)


def weight_files(folder: Path) -> list[str]:
    """Return the names of the weight files, an index first; raises `UserError` where there are none to be trusted."""
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        raise UserError(
            f"{folder} has no {WEIGHTS}: Reprotune reads no pickled weights, so save the model again with "
            "`save_pretrained(folder, safe_serialization=True)` of transformers"
        )
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index} has no weight_map: save the model again with transformers")
    shards = sorted({str(name) for name in weight_map.values()})
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise UserError(f"{index} names {shard!r}, which is not a .safetensors file of the folder")
    return [WEIGHTS_INDEX, *shards]


@contextmanager
def opened_tensors(paths: list[Path], framework: str = "numpy") -> Iterator[dict[str, StoredTensor]]:
    """Yield the tensors of safetensors files by their name on the hub, without prefixes and mask buffers.

    Raises `UserError` on a damaged file, on a tensor that is not floating point and on one that is stored twice. The
    library checks that a file is as long as its header says, and that its tensors fill it without gaps.
    """
    tensors: dict[str, StoredTensor] = {}
    with ExitStack() as opened:
        for path in paths:
            try:
                file = opened.enter_context(safe_open(path, framework=framework))
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{path} is not a complete safetensors file ({error}): fetch it again (a Git LFS pointer is not "
                    "the file)"
                ) from error
            for key in file.keys():  # noqa: SIM118 - not a dictionary: it has no iterator of its own
                tensor, name = StoredTensor(file, key), key.removeprefix(PREFIX)
                if MASK_BUFFER.fullmatch(name):
                    continue
                if tensor.dtype not in DTYPES:
                    raise UserError(
                        f"{path}: tensor {key!r} is {tensor.dtype}, but weights should be one of {', '.join(DTYPES)}: "
                        "save the model again in one of them"
                    )
                if name in tensors:
                    raise UserError(
                        f"{path}: tensor {key!r} is stored twice, here or in another file of the model: save the model "
                        "again"
                    )
                tensors[name] = tensor
        yield tensors


def check_tensors(tensors: Mapping[str, StoredTensor], config: GPT2Config, where: Path) -> None:
    """Raise `UserError` unless the tensors are those that `config` implies; newer files also hold the tied head."""
    expected = dict(_expected_shapes(config))
    for name, shape in expected.items():
        found = tensors[name].shape if name in tensors else None
        if found != shape:
            has = "missing" if found is None else f"of shape {list(found)}"
            raise UserError(
                f"{where}: tensor {name} is {has}, but {CONFIG} implies {list(shape)}: the two files do not belong "
                "together"
            )
    strange = sorted(tensors.keys() - expected.keys() - {HEAD})
    if strange:
        raise UserError(
            f"{where} holds tensors that a GPT-2 language model does not have ({', '.join(strange[:SHOWN_TENSORS])}): "
            "choose another model"
        )


def _expected_shapes(config: GPT2Config) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of every weight; GPT-2's Conv1D stores matrices as [inputs, outputs]."""
    width, inner = config.n_embd, 4 * config.n_embd
    matrices = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, inner),
        "mlp.c_proj": (inner, width),
    }
    yield "wte.weight", (config.vocab_size, width)
    yield "wpe.weight", (config.n_positions, width)
    for norm in ["ln_f", *(f"h.{layer}.{norm}" for layer in range(config.n_layer) for norm in ("ln_1", "ln_2"))]:
        yield f"{norm}.weight", (width,)
        yield f"{norm}.bias", (width,)
    for layer in range(config.n_layer):
        for name, shape in matrices.items():
            yield f"h.{layer}.{name}.weight", shape
            yield f"h.{layer}.{name}.bias", shape[1:]


def _size(document: dict[str, Any], key: str, default: Any, path: Path) -> Any:
    value = document.get(key, default)
    if key == "layer_norm_epsilon":
        if not isinstance(value, float) or not 0 < value < 1:
            raise UserError(f"{path}: {key} is {value!r}, but it should lie between 0 and 1: fix the file")
    elif not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST[key]:
        shown = clipped(repr(value), 40) if key in document else "missing"
        raise UserError(
            f"{path}: {key} is {shown}, but it should be a whole number from 1 to {LARGEST[key]}: fix the file"
        )
    return value

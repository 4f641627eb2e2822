"""The shape of a GPT-2, read from and written to the config.json of a Hugging Face folder."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from reprotune.errors import UserError

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
LARGEST_SIZE = 1_000_000


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


def config_json(config: GPT2Config, dtype: str) -> str:
    """Return the text of the config.json for weights stored as `dtype` (`float32`, ...)."""
    document = SAVED_OPTIONS | asdict(config) | {"n_ctx": config.n_positions, "torch_dtype": dtype}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def read_json_object(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a checkpoint; raises `UserError` where it is missing or not an object."""
    if not path.is_file():
        raise UserError(f"{path} is missing: give a folder in Hugging Face layout")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fetch it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: fetch it again")
    return value


def _size(document: dict[str, Any], key: str, default: Any, path: Path) -> Any:
    value = document.get(key, default)
    if key == "layer_norm_epsilon":
        if not isinstance(value, float) or not 0 < value < 1:
            raise UserError(f"{path}: {key} is {value!r}, but it should lie between 0 and 1: fix the file")
    elif not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST_SIZE:
        shown = repr(value) if key in document else "missing"
        raise UserError(f"{path}: {key} is {shown}, but it should be a positive whole number: fix the file")
    return value

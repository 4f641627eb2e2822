"""The model families: what each one's config.json says and how its files name the weights; torch is not needed here.

A family is one entry of `FAMILIES`, by the `model_type` of its config.json. What a family offers that our network does
not compute (sliding windows, experts, other ways to stretch positions) is refused by name.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from reprotune.model.config import Llama3Scaling, ModelConfig, Rotary
from reprotune.model.config_fields import ConfigFields

Shape = tuple[int, ...]

EMBEDDING, HEAD = "wte", "lm_head"
LINEAR = ("c_attn", "attn_proj", "c_fc", "mlp_proj")
"""The linear layers of a block, as the network names them."""


class StoredTensor(NamedTuple):
    """One tensor of a checkpoint and the rows of our parameter that it fills."""

    name: str
    """Its name in the files, without the family's prefix."""
    shape: Shape
    """Its shape in the files."""
    parameter: str
    """The network's name for the parameter."""
    start: int
    """The parameter's first row that it fills."""
    rows: int
    transposed: bool
    """Whether the files hold it as [in, out]."""


@dataclass(frozen=True)
class Family:
    """How a family's checkpoints are read and written."""

    architecture: str
    """The class of transformers, as config.json names it."""
    read: Callable[[ConfigFields], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    prefix: str
    """What most files put before all names but the head's."""
    layers: str
    """What the names of a layer's tensors begin with, before the layer's number."""
    outer: Mapping[str, str]
    """Names outside the layers: ours -> the files'."""
    inner: Mapping[str, tuple[str, ...]]
    """Names within a layer: ours -> the files', several where ours joins them."""
    buffers: re.Pattern[str]
    """Names of what older files hold besides the weights."""
    transposed: frozenset[str] = frozenset()
    """Ours that the files hold as [in, out]."""
    saved_prefix: str = ""
    """What we put before all names but the head's."""


def _read_gpt2(fields: ConfigFields) -> ModelConfig:
    fields.require("activation_function", "gelu_new", "gelu_pytorch_tanh")  # two names of one function
    fields.require("scale_attn_weights", True)
    for option in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"):
        fields.require(option, False)
    fields.require("tie_word_embeddings", True)
    config = ModelConfig(
        n_layer=fields.size("n_layer"),
        n_head=fields.size("n_head"),
        n_embd=fields.size("n_embd"),
        n_positions=fields.size("n_positions", 1024),
        vocab_size=fields.size("vocab_size", 50257),
        n_inner=fields.size("n_inner", 0),
        norm_eps=fields.share("layer_norm_epsilon", 1e-5),
        begin_of_text=fields.token("bos_token_id"),
        end_of_text=fields.tokens("eos_token_id"),
    )
    fields.check_multiple("n_embd", config.n_embd, "n_head", config.n_head)
    return config


def _write_gpt2(config: ModelConfig) -> dict[str, Any]:
    return {
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_positions": config.n_positions,
        "n_ctx": config.n_positions,
        "n_inner": None if config.n_inner == 4 * config.n_embd else config.n_inner,
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
    }


def _read_llama(fields: ConfigFields) -> ModelConfig:
    bias = fields.flag("attention_bias", False)
    return _rotary_config(
        fields, qkv_bias=bias, out_bias=bias, mlp_bias=fields.flag("mlp_bias", False), tied=False, theta=10_000.0
    )


def _read_mistral(fields: ConfigFields) -> ModelConfig:
    fields.require("sliding_window", None)
    return _rotary_config(fields, tied=False, theta=10_000.0)


def _read_qwen2(fields: ConfigFields) -> ModelConfig:
    _refuse_windows(fields)
    return _rotary_config(fields, qkv_bias=True, tied=False, theta=10_000.0)


def _read_qwen3(fields: ConfigFields) -> ModelConfig:
    _refuse_windows(fields)
    bias = fields.flag("attention_bias", False)
    return _rotary_config(fields, qkv_bias=bias, out_bias=bias, qk_norm=True, tied=False, theta=10_000.0, head_size=128)


def _refuse_windows(fields: ConfigFields) -> None:
    fields.require("use_sliding_window", False)
    kinds = fields.document.get("layer_types")
    if kinds is not None and (not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds)):
        fields.refuse("layer_types", kinds, "'full_attention' for every layer")


def _rotary_config(
    fields: ConfigFields, tied: bool, theta: float, head_size: int | None = None, **choices: bool
) -> ModelConfig:
    """Read what Llama and its kin have in common; `tied`, `theta` and `head_size` are the family's defaults."""
    fields.require("hidden_act", "silu")
    heads, width = fields.size("num_attention_heads"), fields.size("hidden_size")
    kv_heads = fields.size("num_key_value_heads", heads)
    if "head_dim" not in fields.document and head_size is None:
        fields.check_multiple("hidden_size", width, "num_attention_heads", heads)
    fields.check_multiple("num_attention_heads", heads, "num_key_value_heads", kv_heads)
    size = fields.size("head_dim", head_size or width // heads)
    fields.check_multiple("head_dim", size, "the two halves of a rotary position,", 2)
    return ModelConfig(
        n_layer=fields.size("num_hidden_layers"),
        n_head=heads,
        n_embd=width,
        n_positions=fields.size("max_position_embeddings", 2048),
        vocab_size=fields.size("vocab_size"),
        n_kv_head=kv_heads,
        head_size=size,
        n_inner=fields.size("intermediate_size"),
        norm="rms",
        norm_eps=fields.share("rms_norm_eps", 1e-6),
        rotary=_read_rotary(fields, theta),
        gated=True,
        tied=fields.flag("tie_word_embeddings", tied),
        family=fields.document["model_type"],
        begin_of_text=fields.token("bos_token_id"),
        end_of_text=fields.tokens("eos_token_id"),
        **{"qkv_bias": False, "out_bias": False, "mlp_bias": False, **choices},
    )


def _read_rotary(fields: ConfigFields, theta: float) -> Rotary:
    """Read the rotary positions as transformers writes them since version 5 (`rope_parameters`), or as before."""
    theta = fields.number("rope_theta", theta)
    given = fields.section("rope_parameters") or fields.section("rope_scaling")
    if given is None:
        return Rotary(theta)
    theta = given.number("rope_theta", theta)
    kind = given.document.get("rope_type", given.document.get("type", "default"))
    if kind == "default":
        return Rotary(theta)
    if kind != "llama3":
        given.refuse("rope_type", kind, "'default' or 'llama3'")
    scaling = Llama3Scaling(
        factor=given.number("factor"),
        low=given.number("low_freq_factor"),
        high=given.number("high_freq_factor"),
        original_positions=given.size("original_max_position_embeddings"),
    )
    if scaling.high <= scaling.low:
        given.refuse("high_freq_factor", scaling.high, f"more than low_freq_factor {scaling.low:g}")
    return Rotary(theta, scaling)


def _write_llama(config: ModelConfig) -> dict[str, Any]:
    """Return the keys that Llama and its kin share; those that a family does not know do it no harm."""
    rotary = cast(Rotary, config.rotary)
    scaling = rotary.scaling
    stretched = scaling and {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low,
        "high_freq_factor": scaling.high,
        "original_max_position_embeddings": scaling.original_positions,
    }
    return {
        "hidden_act": "silu",
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.head_size,
        "hidden_size": config.n_embd,
        "intermediate_size": config.n_inner,
        "max_position_embeddings": config.n_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": rotary.theta,
        "rope_scaling": stretched,
        "attention_bias": config.out_bias,
        "mlp_bias": config.mlp_bias,
    }


def _write_without_windows(config: ModelConfig) -> dict[str, Any]:
    return _write_llama(config) | {"use_sliding_window": False}


def _write_mistral(config: ModelConfig) -> dict[str, Any]:
    return _write_llama(config) | {"sliding_window": None}


GPT2_INNER = {
    "ln_1": ("ln_1",),
    "c_attn": ("attn.c_attn",),
    "attn_proj": ("attn.c_proj",),
    "ln_2": ("ln_2",),
    "c_fc": ("mlp.c_fc",),
    "mlp_proj": ("mlp.c_proj",),
}
LLAMA_INNER = {
    "ln_1": ("input_layernorm",),
    "c_attn": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "q_norm": ("self_attn.q_norm",),
    "k_norm": ("self_attn.k_norm",),
    "attn_proj": ("self_attn.o_proj",),
    "ln_2": ("post_attention_layernorm",),
    "c_fc": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp_proj": ("mlp.down_proj",),
}
LLAMA_OUTER = {EMBEDDING: "embed_tokens", "ln_f": "norm", HEAD: HEAD}


def _llama_like(
    architecture: str, read: Callable[[ConfigFields], ModelConfig], write: Callable[[ModelConfig], dict[str, Any]]
) -> Family:
    waves = re.compile(r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
    return Family(
        architecture, read, write, "model.", "layers.", LLAMA_OUTER, LLAMA_INNER, buffers=waves, saved_prefix="model."
    )


FAMILIES = {
    "gpt2": Family(
        "GPT2LMHeadModel",
        _read_gpt2,
        _write_gpt2,
        prefix="transformer.",
        layers="h.",
        outer={EMBEDDING: "wte", "wpe": "wpe", "ln_f": "ln_f", HEAD: HEAD},
        inner=GPT2_INNER,
        buffers=re.compile(r"h\.\d+\.attn\.(masked_)?bias"),  # the causal mask of each layer
        transposed=frozenset({"c_attn", "attn_proj", "c_fc", "mlp_proj"}),
    ),
    "llama": _llama_like("LlamaForCausalLM", _read_llama, _write_llama),
    "mistral": _llama_like("MistralForCausalLM", _read_mistral, _write_mistral),
    "qwen2": _llama_like("Qwen2ForCausalLM", _read_qwen2, _write_without_windows),
    "qwen3": _llama_like("Qwen3ForCausalLM", _read_qwen3, _write_without_windows),
}


def parameter_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Return the name and shape of every parameter of `Network(config)`, in its order."""
    norm = ("weight", "bias") if config.norm == "layer" else ("weight",)
    layer: dict[str, Shape] = {}

    def add_norm(name: str, width: int) -> None:
        layer.update({f"{name}.{kind}": (width,) for kind in norm})

    def add_linear(name: str, outputs: int, inputs: int, bias: bool) -> None:
        layer.update({f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {}))

    width, inner = config.n_embd, config.n_inner
    add_norm("ln_1", width)
    add_linear("c_attn", sum(config.qkv_widths), width, config.qkv_bias)
    if config.qk_norm:
        add_norm("q_norm", config.head_size)
        add_norm("k_norm", config.head_size)
    add_linear("attn_proj", width, config.qkv_widths[0], config.out_bias)
    add_norm("ln_2", width)
    add_linear("c_fc", sum(config.inner_widths), width, config.mlp_bias)
    add_linear("mlp_proj", width, inner, config.mlp_bias)
    shapes: dict[str, Shape] = {f"{EMBEDDING}.weight": (config.vocab_size, width)}
    if config.rotary is None:
        shapes["wpe.weight"] = (config.n_positions, width)
    for number in range(config.n_layer):
        shapes.update({f"blocks.{number}.{name}": shape for name, shape in layer.items()})
    shapes.update({f"ln_f.{kind}": (width,) for kind in norm})
    if not config.tied:
        shapes[f"{HEAD}.weight"] = (config.vocab_size, width)
    return shapes


def stored_tensors(config: ModelConfig) -> Iterator[StoredTensor]:
    """Yield every tensor that a checkpoint of this config holds; a tied head, which it may hold too, left out."""
    family = FAMILIES[config.family]
    for parameter, shape in parameter_shapes(config).items():
        *place, part, kind = parameter.split(".")
        if not place:
            yield StoredTensor(f"{family.outer[part]}.{kind}", shape, parameter, 0, shape[0], False)
            continue
        transposed = part in family.transposed and kind == "weight"
        rows_of = part_rows(config, part) if part in LINEAR else shape[:1]
        start = 0
        for name, rows in zip(family.inner[part], rows_of, strict=True):
            stored = (shape[1], rows) if transposed else (rows, *shape[1:])
            yield StoredTensor(f"{family.layers}{place[1]}.{name}.{kind}", stored, parameter, start, rows, transposed)
            start += rows


def part_rows(config: ModelConfig, layer: str) -> tuple[int, ...]:
    """Return how many rows of one of our linear layers each matrix fills that the family's files hold apart."""
    width = config.n_embd
    rows = {"c_attn": config.qkv_widths, "attn_proj": (width,), "c_fc": config.inner_widths, "mlp_proj": (width,)}[
        layer
    ]
    return rows if len(FAMILIES[config.family].inner[layer]) == len(rows) else (sum(rows),)

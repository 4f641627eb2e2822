"""GPT-2 weights in and out of Hugging Face folders (config.json + safetensors; never pickle).

The hub's GPT-2 files differ from this network in three ways, all undone here: other names, linear layers stored as
[in, out] (Conv1D) instead of [out, in], and, in some files, causal-mask buffers and a copy of the tied head.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reprotune.errors import UserError
from reprotune.model.gpt2 import GPT2, GPT2Config

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

HUB_PARTS = {
    "ln_1": "ln_1",
    "c_attn": "attn.c_attn",
    "attn_proj": "attn.c_proj",
    "ln_2": "ln_2",
    "c_fc": "mlp.c_fc",
    "mlp_proj": "mlp.c_proj",
}
CONV1D_PARTS = {"c_attn", "attn_proj", "c_fc", "mlp_proj"}
MASK_BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
HEAD = "lm_head.weight"

SUPPORTED_OPTIONS: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
"""Values of config.json under which the file describes this network; a missing key means the first."""

END_OF_TEXT = 50256
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


def hub_name(name: str) -> str:
    """Return the hub's name of a parameter: `blocks.3.c_fc.weight` -> `h.3.mlp.c_fc.weight`."""
    if not name.startswith("blocks."):
        return name
    _, layer, part, kind = name.split(".")
    return f"h.{layer}.{HUB_PARTS[part]}.{kind}"


def is_conv1d(name: str) -> bool:
    """Tell whether the hub stores the parameter `blocks.<layer>.<part>.<kind>` transposed."""
    return name.endswith(".weight") and name.split(".")[-2] in CONV1D_PARTS


def read_config(folder: Path) -> GPT2Config:
    """Read the shape of the GPT-2 in a Hugging Face folder; raises `UserError` where config.json is not a GPT-2's."""
    path = folder / CONFIG_FILE
    document = _read_json(path)
    for key, supported in SUPPORTED_OPTIONS.items():
        if document.get(key, supported[0]) not in supported:
            raise UserError(
                f"{path}: {key} is {document[key]!r}, but Reprotune runs GPT-2 with {supported[0]!r}: use another model"
            )
    shape: dict[str, Any] = {}
    for field in fields(GPT2Config):
        value = document.get(field.name, field.default)
        number = (int, float) if field.name == "layer_norm_epsilon" else int
        if not isinstance(value, number) or isinstance(value, bool) or value <= 0:
            raise UserError(f"{path}: {field.name} should be a positive number: restore the file from its source")
        shape[field.name] = value
    config = GPT2Config(**shape)
    if config.n_embd % config.n_head:
        raise UserError(f"{path}: n_embd {config.n_embd} is not a multiple of n_head {config.n_head}: restore the file")
    if document.get("n_inner") not in (None, 4 * config.n_embd):
        raise UserError(f"{path}: n_inner is {document['n_inner']}, but Reprotune runs GPT-2 with 4 x n_embd")
    return config


def load_model(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> GPT2:
    """Load a GPT-2 from a Hugging Face folder, whatever floating type it is stored in.

    Memory: one copy of the weights; the files are mapped and read tensor by tensor. Raises `UserError` naming the
    file and tensor where a tensor is missing, unknown or of another shape, or the head is not tied.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = GPT2(config).to(dtype)
    with _opened_tensors(folder) as stored:
        _check_names(folder, stored, {hub_name(name) for name, _ in model.named_parameters()})
        model.to_empty(device=device)
        for name, parameter in model.named_parameters():
            tensor = _read_tensor(folder, stored, hub_name(name))
            target = parameter.detach().t() if is_conv1d(name) else parameter.detach()
            if tensor.shape != target.shape:
                raise UserError(
                    f"{folder}: tensor {hub_name(name)} has shape {list(tensor.shape)}, but {CONFIG_FILE} makes it "
                    f"{list(target.shape)}: fetch both files from one source"
                )
            target.copy_(tensor)
        if HEAD in stored and not torch.equal(stored[HEAD](), stored["wte.weight"]()):
            raise UserError(f"{folder}: {HEAD} differs from wte.weight, but GPT-2's head is tied: use another model")
    return model


def save_model(model: GPT2, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and model.safetensors as the hub has them; the same weights give the same bytes.

    Adapters must be merged first (`merge_adapters`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = SAVED_OPTIONS | asdict(model.config)
    document |= {"n_ctx": model.config.n_positions, "torch_dtype": str(dtype).removeprefix("torch.")}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8", newline="\n")
    tensors = {}
    for name, parameter in model.named_parameters():
        stored = parameter.detach().t() if is_conv1d(name) else parameter.detach()
        tensors[hub_name(name)] = stored.to("cpu", dtype).contiguous()
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing: give a folder in Hugging Face layout")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): restore it from its source") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} should hold a JSON object: restore it from its source")
    return document


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    index = folder / INDEX_FILE
    if not index.is_file():
        raise UserError(f"{folder} holds no {WEIGHTS_FILE}: Reprotune reads safetensors only, so convert other weights")
    shards = _read_json(index).get("weight_map")
    names = sorted(set(shards.values())) if isinstance(shards, dict) else []
    if not names or any(Path(name).name != name for name in names):
        raise UserError(f"{index}: weight_map should map tensors to files of this folder: restore it from its source")
    return [folder / name for name in names]


@contextmanager
def _opened_tensors(folder: Path) -> Iterator[dict[str, Callable[[], Tensor]]]:
    """Yield {hub name: function that reads the tensor}, without name prefixes and mask buffers."""
    stored: dict[str, Callable[[], Tensor]] = {}
    with ExitStack() as stack:
        for path in _weight_files(folder):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise UserError(f"{path} is not a readable safetensors file ({error}): fetch it again") from error
            for key in file.keys():  # noqa: SIM118 - a safetensors file cannot be iterated itself
                name = key.removeprefix("transformer.")
                if not MASK_BUFFER.fullmatch(name):
                    stored[name] = partial(file.get_tensor, key)
        yield stored


def _read_tensor(folder: Path, stored: Mapping[str, Callable[[], Tensor]], name: str) -> Tensor:
    tensor = stored[name]()
    if not tensor.is_floating_point():
        raise UserError(f"{folder}: tensor {name} holds {tensor.dtype}, not floating point: use unquantised weights")
    return tensor


def _check_names(folder: Path, stored: Mapping[str, object], expected: set[str]) -> None:
    missing, unknown = sorted(expected - stored.keys()), sorted(stored.keys() - expected - {HEAD})
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} of the tensors that {CONFIG_FILE} asks for, first {missing[0]}: "
            "fetch both files from one source"
        )
    if unknown:
        raise UserError(
            f"{folder} has {len(unknown)} tensors that {CONFIG_FILE} has no place for, first {unknown[0]}: "
            "fetch both files from one source"
        )

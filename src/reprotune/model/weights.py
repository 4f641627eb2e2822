"""GPT-2 weights between Hugging Face folders and the network.

The hub's files differ from this network in three ways, all handled here: other names, linear layers stored as [in, out]
(Conv1D) instead of [out, in], and, in some files, a copy of the tied head.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from reprotune.errors import UserError
from reprotune.model.checkpoint import (
    CONFIG,
    HEAD,
    WEIGHTS,
    check_tensors,
    config_json,
    opened_tensors,
    read_config,
    weight_files,
)
from reprotune.model.gpt2 import GPT2

HUB_PARTS = {
    "ln_1": "ln_1",
    "c_attn": "attn.c_attn",
    "attn_proj": "attn.c_proj",
    "ln_2": "ln_2",
    "c_fc": "mlp.c_fc",
    "mlp_proj": "mlp.c_proj",
}
CONV1D_PARTS = {"c_attn", "attn_proj", "c_fc", "mlp_proj"}


def hub_name(name: str) -> str:
    """Return the hub's name of a parameter: `blocks.3.c_fc.weight` -> `h.3.mlp.c_fc.weight`."""
    if not name.startswith("blocks."):
        return name
    _, layer, part, kind = name.split(".")
    return f"h.{layer}.{HUB_PARTS[part]}.{kind}"


def is_conv1d(name: str) -> bool:
    """Tell whether the hub stores the parameter `blocks.<layer>.<part>.<kind>` transposed."""
    return name.endswith(".weight") and name.split(".")[-2] in CONV1D_PARTS


def load_model(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> GPT2:
    """Load a GPT-2 from a Hugging Face folder, in whichever floating-point format it is stored.

    Memory: one copy of the weights; files are mapped and read tensor by tensor. Raises `UserError` that names the file
    and tensor where a tensor is missing, unknown, of another shape or not finite, or where the head is not tied.
    """
    config = read_config(folder / CONFIG)
    with torch.device("meta"):
        model = GPT2(config).to(dtype)
    files = [folder / name for name in weight_files(folder) if name.endswith(".safetensors")]
    with opened_tensors(files, framework="pt") as stored:
        check_tensors(stored, config, folder)
        model.to_empty(device=device)
        for name, parameter in model.named_parameters():
            target = parameter.detach().t() if is_conv1d(name) else parameter.detach()
            target.copy_(stored[hub_name(name)].read())
            if not _is_finite(target):
                raise UserError(f"{folder}: tensor {hub_name(name)} holds NaN or infinity: fetch the model again")
        if HEAD in stored and not torch.equal(stored[HEAD].read(), stored["wte.weight"].read()):
            raise UserError(f"{folder}: {HEAD} differs from wte.weight, but GPT-2's head is tied: choose another model")
    return model


def _is_finite(tensor: torch.Tensor) -> bool:
    """Tell whether every number is finite; one sum tells it nearly always, without a copy."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def save_model(model: GPT2, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and model.safetensors in the hub's layout; the same weights give the same bytes.

    Adapters must be merged first (`merge_adapters`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = config_json(model.config, str(dtype).removeprefix("torch."))
    (folder / CONFIG).write_text(text, encoding="utf-8", newline="\n")
    tensors = {}
    for name, parameter in model.named_parameters():
        stored = parameter.detach().t() if is_conv1d(name) else parameter.detach()
        tensors[hub_name(name)] = stored.to("cpu", dtype).contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    # The library makes it readable for its owner alone, whatever the umask says.
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)

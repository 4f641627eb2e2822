"""Weights between folders in Hugging Face layout and the network.

The files differ from the network in three ways, all handled here: other names, matrices that the network joins
(queries, keys and values; gate and values), and GPT-2's linear layers, stored as [in, out].
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from reprotune.errors import UserError
from reprotune.model.checkpoint import (
    CONFIG,
    HEAD_TENSOR,
    WEIGHTS,
    check_tensors,
    config_json,
    opened_tensors,
    read_config,
    weight_files,
)
from reprotune.model.families import EMBEDDING, FAMILIES, StoredTensor, stored_tensors
from reprotune.model.network import Network

TORCH_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""What safetensors calls the formats of weights."""


def load_model(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Network:
    """Load a model from a folder in Hugging Face layout, in whichever floating-point format it is stored.

    Memory: one copy of the weights; files are mapped and read tensor by tensor. Raises `UserError` that names the file
    and tensor where a tensor is missing, unknown, of another shape or not finite, or where a tied head is not tied.
    """
    config = read_config(folder / CONFIG)
    with torch.device("meta"):
        model = Network(config).to(dtype)
    files = [folder / name for name in weight_files(folder) if name.endswith(".safetensors")]
    family = FAMILIES[config.family]
    with opened_tensors(files, family, framework="pt") as opened:
        check_tensors(opened, config, folder)
        model.to_empty(device=device)
        parameters = dict(model.named_parameters())
        for stored in stored_tensors(config):
            target = _as_stored(parameters[stored.parameter].detach(), stored)
            target.copy_(opened[stored.name].read())
            if not _is_finite(target):
                raise UserError(f"{folder}: tensor {stored.name} holds NaN or infinity: fetch the model again")
        embedding = f"{family.outer[EMBEDDING]}.weight"
        if (
            config.tied
            and HEAD_TENSOR in opened
            and not torch.equal(opened[HEAD_TENSOR].read(), opened[embedding].read())
        ):
            raise UserError(
                f"{folder}: {HEAD_TENSOR} differs from {embedding}, but {CONFIG} says that the head is tied: choose "
                "another model"
            )
    return model


def stored_dtype(folder: Path) -> torch.dtype:
    """Return the number format of the weights in a folder: that of the token embedding, the largest tensor of many."""
    family = FAMILIES[read_config(folder / CONFIG).family]
    files = [folder / name for name in weight_files(folder) if name.endswith(".safetensors")]
    with opened_tensors(files, family) as opened:
        return TORCH_DTYPES[opened[f"{family.outer[EMBEDDING]}.weight"].dtype]


def save_model(model: Network, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and model.safetensors in the family's layout; the same weights give the same bytes.

    Adapters must be merged first (`merge_adapters`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = config_json(model.config, str(dtype).removeprefix("torch."))
    (folder / CONFIG).write_text(text, encoding="utf-8", newline="\n")
    save_file(named_tensors(model, dtype), folder / WEIGHTS, metadata={"format": "pt"})
    # The library makes it readable for its owner alone, whatever the umask says.
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode & 0o777)


def named_tensors(model: Network, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights as the family's files hold them, on the CPU: name -> tensor."""
    parameters = dict(model.named_parameters())
    prefix = FAMILIES[model.config.family].saved_prefix
    return {
        stored.name if stored.name == HEAD_TENSOR else prefix + stored.name: _as_stored(
            parameters[stored.parameter].detach(), stored
        )
        .to("cpu", dtype)
        .contiguous()
        for stored in stored_tensors(model.config)
    }


def _as_stored(parameter: Tensor, stored: StoredTensor) -> Tensor:
    """Return the part of a parameter that a stored tensor holds, as a view of the stored shape."""
    rows = parameter[stored.start : stored.start + stored.rows]
    return rows.t() if stored.transposed else rows


def _is_finite(tensor: Tensor) -> bool:
    """Tell whether every number is finite; one sum tells it nearly always, without a copy."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())

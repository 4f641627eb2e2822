"""What a finished training run leaves next to the weights: metrics, the loss curve, its speed."""

import csv
import io
import platform
import resource
import sys
import tomllib
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reprotune.artifacts import write_json, write_text
from reprotune.compute.device import CPU_INFO, Compute
from reprotune.console import counted
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.scratch import file_sha256
from reprotune.training.checkout import WRITTEN_BY_REPRO, read_checkout
from reprotune.training.checkpoint import LossRecord, Progress


def training_metrics(
    progress: Progress, total_steps: int, trained_parameters: int, dtype: torch.dtype
) -> dict[str, Any]:
    """Numbers that a rerun reproduces, for `metrics.json`.

    Losses are in nats per trained token. `final.train_loss` is the mean over the last tenth of the steps (single
    batches are noisy), weighted equally.
    """
    history = progress.history
    tail = [record.train_loss or 0.0 for record in history[-max(1, len(history) // 10) :]]
    last_validation = [record.validation_loss for record in history if record.validation_loss is not None][-1]
    return {
        "precision": precision_name(dtype),
        "steps": progress.step,
        "epochs": round(history[-1].epoch, 4),
        "stopped_early": progress.step < total_steps,
        "trained_parameters": trained_parameters,
        "tokens_seen": progress.tokens_seen,
        "trained_tokens_seen": progress.trained_tokens_seen,
        "padding_share": 1 - progress.tokens_seen / (progress.positions_computed + progress.positions_spared),
        "initial": {"validation_loss": progress.initial_loss},
        "best": {"step": progress.best_step, "validation_loss": progress.best_loss},
        "final": {"train_loss": sum(tail) / len(tail), "validation_loss": last_validation},
    }


def count_trained(model: nn.Module) -> int:
    """Number of weights that training changes; a tied matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def write_loss_curve(path: Path, history: list[LossRecord]) -> None:
    """Write loss.csv: a line per optimizer step, blank where the validation loss was not measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(LossRecord)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in history)
    write_text(path, text.getvalue())


def write_speed(path: Path, progress: Progress, compute: Compute) -> None:
    """Write how fast it went (seconds of training with validation, without loading; tokens per second; the share of
    tokens that were not computed because rows share a prefix), when and where, and what the model was made with.

    The one artifact that differs between reruns and machines; no costly stage depends on it.
    """
    device = compute.device
    seconds = max(progress.seconds, 1e-9)
    if device.type == "cuda":
        name, peak = torch.cuda.get_device_name(device), torch.cuda.max_memory_allocated(device)
    else:
        name, peak = f"{_processor()}, {counted(torch.get_num_threads(), 'thread')}", _peak_resident_bytes()
    speed = {
        "seconds": round(seconds, 3),
        "tokens_per_second": round(progress.tokens_seen / seconds, 1),
        "trained_tokens_per_second": round(progress.trained_tokens_seen / seconds, 1),
        "shared_prefix_share": round(progress.positions_spared / progress.tokens_seen, 4),
        "peak_memory_mb": round(peak / 1e6, 1),
        "device": name,
        "made_with": made_with(compute),
        "trained": trained(),
    }
    write_json(path, speed)


def trained() -> dict[str, Any]:
    """Return when a training that ends now was done (in UTC), on which kind of system, and from which commit.

    A stage runs before its results are committed, so the commit is the one that was checked out, and `uncommitted` are
    the followed files that differed from it, those aside that `dvc repro` writes itself. Both are null without Git.
    """
    checkout = read_checkout(apart=WRITTEN_BY_REPRO)
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": checkout and checkout.commit,
        "uncommitted": checkout and checkout.changed,
    }


def made_with(compute: Compute) -> dict[str, str]:
    """Return what the bytes of a model depend on besides params, code and data; run in the root of the repository."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    project, pins = Path("pyproject.toml"), Path("constraints.txt")
    if project.is_file():
        versions["reprotune"] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    if pins.is_file():
        versions["constraints_sha256"] = file_sha256(pins)
    return versions | {"device_type": compute.device.type, "precision": precision_name(compute.dtype)}


def precision_name(dtype: torch.dtype) -> str:
    """Return the name that params.yaml has for a number format."""
    return "bf16" if dtype == torch.bfloat16 else "fp32"


def params_of_interest(params: FinetuneParams) -> str:
    """Describe in one line what is about to run."""
    what = f"LoRA of rank {params.lora.rank}" if params.method == "lora" else "all weights"
    learned = "responses" if params.mask_instruction else "prompts and responses"
    epochs, rows = counted(params.epochs, "epoch"), counted(params.batch_size, "row")
    return f"{what}, {epochs}, {params.batching} batches of {rows}, learning {learned}"


def _processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    if CPU_INFO.is_file():
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        for key, _, value in (line.partition(":") for line in lines):
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or "cpu"


def _peak_resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes

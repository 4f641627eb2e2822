"""The book chapter's own training code, imported from a clone of rasbt/LLMs-from-scratch (never copied).

Model, collate function and loss are the clone's; the loop is its four lines per batch. Its evaluation every five steps
and its sample texts are left out, to its advantage. Its head is not tied to the embedding: 163 M weights for 124 M.
"""

import sys
import time
import types
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file
from side_by_side.machine import synchronize
from side_by_side.report import training_result
from side_by_side.rounds import contender_main

from reprotune.compute.device import pick_device
from reprotune.model.checkpoint import read_config
from reprotune.model.config import ModelConfig


def import_chapter(clone: str) -> tuple[Any, Any]:
    """Return the chapter's modules (script, previous chapters); what only plots or downloads is not needed here."""
    folder = Path(clone) / "ch07/01_main-chapter-code"
    if not folder.is_dir():
        sys.exit(f"{folder} is missing: --chapter should be a clone of rasbt/LLMs-from-scratch")
    sys.path.insert(0, str(folder))
    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.ticker", "gpt_download"):
        module = types.ModuleType(name)
        module.__dict__.update(MaxNLocator=None, download_and_load_gpt2=None, pyplot=None)
        sys.modules.setdefault(name, module)
    import gpt_instruction_finetuning  # type: ignore[import-not-found]  # noqa: PLC0415
    import previous_chapters  # type: ignore[import-not-found]  # noqa: PLC0415

    return gpt_instruction_finetuning, previous_chapters


def chapter_model(chapters: Any, folder: Path) -> Any:
    """Build the chapter's GPTModel and load a Hugging Face folder's weights by its own `load_weights_into_gpt`."""
    config: ModelConfig = read_config(folder / "config.json")
    model = chapters.GPTModel(
        {
            "vocab_size": config.vocab_size,
            "context_length": config.n_positions,
            "drop_rate": 0.0,
            "qkv_bias": True,
            "emb_dim": config.n_embd,
            "n_layers": config.n_layer,
            "n_heads": config.n_head,
        }
    )
    stored = load_file(folder / "model.safetensors")

    def part(name: str, letters: str = "wb") -> dict[str, Any]:
        return {letter: stored[f"{name}.{kind}"] for letter, kind in zip(letters, ("weight", "bias"), strict=True)}

    blocks = [
        {
            "attn": {"c_attn": part(f"h.{layer}.attn.c_attn"), "c_proj": part(f"h.{layer}.attn.c_proj")},
            "mlp": {"c_fc": part(f"h.{layer}.mlp.c_fc"), "c_proj": part(f"h.{layer}.mlp.c_proj")},
            "ln_1": part(f"h.{layer}.ln_1", "gb"),
            "ln_2": part(f"h.{layer}.ln_2", "gb"),
        }
        for layer in range(config.n_layer)
    ]
    params = {"wte": stored["wte.weight"], "wpe": stored["wpe.weight"], "blocks": blocks, **part("ln_f", "gb")}
    chapters.load_weights_into_gpt(model, params)
    return model


def measure(task: dict[str, Any]) -> dict[str, Any]:
    script, chapters = import_chapter(task["chapter"])
    device = pick_device()
    model = chapter_model(chapters, Path(task["model"])).to(device)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=task["learning_rate"], weight_decay=task["weight_decay"])
    texts = [prompt + response[:-1] for prompt, response in task["rows"]]
    losses, positions, ends = [], 0, [time.perf_counter()]
    for batch in task["batches"]:
        inputs, targets = script.custom_collate_fn([texts[index] for index in batch], allowed_max_length=1024)
        optimizer.zero_grad()
        loss = chapters.calc_loss_batch(inputs, targets, model, device)
        loss.backward()
        optimizer.step()
        synchronize(device)
        ends.append(time.perf_counter())
        losses.append(loss.item())
        positions += inputs.numel()
    return training_result(task, ends, losses, positions, "the chapter's script (float32, padded)")


if __name__ == "__main__":
    contender_main(measure)

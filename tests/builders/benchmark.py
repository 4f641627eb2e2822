"""Synthetic artifacts of a benchmark: items with hostile subjects, what two models say of them, and plain text."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from reprotune.artifacts import write_table
from reprotune.multiple_choice.contracts import CHOICES, DOCUMENTS, ITEMS

FORMULATION = "cloze_0shot_plain"


def item(place: int, subject: str, choices: Sequence[str], answer: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{place:016x}",
        "task": "exam",
        "subject": subject,
        "group": None,
        "context": None,
        "question": f"Which is number {place}?",
        "choices": list(choices),
        "answer": answer,
        "role": "item",
        "source_row": place,
    } | changes


def asked(place: int, logprobs: Sequence[float], model: str = "base", **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{place:016x}",
        "formulation": FORMULATION,
        "prompt_sha256": f"{place:064x}",
        "prompt_tokens": 12,
        "cut_tokens": 0,
        "shots": 0,
        "logprobs": list(logprobs),
        "choice_tokens": [2] * len(logprobs),
        "unconditional": [-4.0] * len(logprobs),
        "model": model,
    } | changes


def text(place: int, size: int, nats: float) -> dict[str, Any]:
    return {"id": f"{place:016x}", "bytes": size, "tokens": max(1, size // 4), "nats": nats}


def write_benchmark(
    data: Path,
    items: Sequence[dict[str, Any]] = (),
    choices: Sequence[dict[str, Any]] = (),
    texts: dict[str, list[dict[str, Any]]] | None = None,
) -> None:
    """Write the artifacts of both models; without items, choices and texts those of a run without a benchmark."""
    write_table(data / "benchmark/items.parquet", pa.Table.from_pylist(list(items), schema=ITEMS))
    for model in ("base", "finetuned"):
        said = [row for row in choices if row["model"] == model]
        write_table(data / f"benchmarked/{model}.parquet", pa.Table.from_pylist(said, schema=CHOICES))
        documents = (texts or {}).get(model, [])
        write_table(data / f"benchmarked/{model}_text.parquet", pa.Table.from_pylist(documents, schema=DOCUMENTS))


def write_exam(data: Path, subjects: Sequence[str], seed: int = 5, skill: float = 0.9) -> None:
    """Write twenty items of each subject, of which the fine-tuned model gets a share of `skill` right."""
    draw = random.Random(seed)
    items, choices = [], []
    for place in range(20 * len(subjects)):
        options = [f"option {number} of {place}{'!' * draw.randrange(9)}" for number in range(4)]
        answer = draw.randrange(4)
        items.append(item(place, subjects[place % len(subjects)], options, answer))
        for model, level in (("base", 0.8), ("finetuned", skill)):
            taken = answer if random.Random(f"{place} {model}").random() < level else (answer + 1) % 4
            said = [-6.0 - draw.random() + 4 * (number == taken) for number in range(4)]
            choices.append(asked(place, said, model))
    texts: dict[str, list[dict[str, Any]]] = {"base": [], "finetuned": []}
    for place in range(40):
        size = draw.randrange(80, 500)
        nats = size * draw.uniform(0.5, 0.8)
        texts["base"].append(text(place, size, nats))
        texts["finetuned"].append(text(place, size, nats * draw.uniform(1.0, 1.06)))
    write_benchmark(data, items, choices, texts)

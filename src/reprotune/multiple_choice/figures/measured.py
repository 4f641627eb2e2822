"""What two models said of the choices of a benchmark and of plain text, read from the artifacts and joined by item."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reprotune.artifacts import MODELS, read_table
from reprotune.errors import UserError
from reprotune.multiple_choice.contracts import CHOICES, DOCUMENTS, ITEM, ITEMS
from reprotune.params.sections.benchmark import FORMULATION

ITEMS_FILE = "data/benchmark/items.parquet"
CHOICES_FILES = {model: f"data/benchmarked/{model}.parquet" for model in MODELS}
TEXT_FILES = {model: f"data/benchmarked/{model}_text.parquet" for model in MODELS}
FILES = (ITEMS_FILE, *CHOICES_FILES.values(), *TEXT_FILES.values())

REMEDY = "run `dvc repro` to make it again"
ID_DIGITS = 16


@dataclass(frozen=True)
class Item:
    """A question with its options."""

    id: str
    subject: str
    group: str | None
    choices: Sequence[str]
    answer: int

    @property
    def cluster(self) -> str:
        """What an item has in common with its repetitions."""
        return self.id[:ID_DIGITS]


@dataclass(frozen=True)
class Asked:
    """An item as it was asked, with the log-probability of each of its choices in nats."""

    item: Item
    logprobs: Sequence[float]
    choice_tokens: Sequence[int]
    unconditional: Sequence[float] | None
    prompt_sha256: str
    cut_tokens: int

    @cached_property
    def predicted(self) -> int:
        """The likeliest choice, counted from 0; of equal ones the first, as in lm-eval."""
        return largest(self.logprobs)

    @property
    def right(self) -> bool:
        """Whether the likeliest choice is the right one."""
        return self.predicted == self.item.answer


@dataclass(frozen=True)
class TextLoss:
    """A document of plain text and how well a model predicts it."""

    id: str
    bytes: int
    nats: float

    @property
    def cluster(self) -> str:
        """What a document has in common with its repetitions."""
        return self.id[:ID_DIGITS]


@dataclass(frozen=True)
class Measured:
    """All that was measured; empty where there is no benchmark and no text."""

    task: str
    """What the metrics call the benchmark; empty where there is none."""
    asked: dict[str, dict[str, list[Asked]]]
    """Formulation -> model -> the items, in the same order for both models."""
    texts: dict[str, list[TextLoss]]
    """Model -> the documents, in the same order for both models."""


NOTHING = Measured("", {}, {model: [] for model in MODELS})


def largest(values: Sequence[float]) -> int:
    """Return the place of the largest value, of the first where several are equal."""
    return max(range(len(values)), key=values.__getitem__)


def read_measured(data: Path) -> Measured:
    """Read the artifacts below `data`; raises `UserError` if one is missing, damaged or of another run."""
    paths = {file: data / file.removeprefix("data/") for file in FILES}
    items, task = _read_items(paths[ITEMS_FILE])
    found = {model: _read_choices(paths[file], items, model) for model, file in CHOICES_FILES.items()}
    base, finetuned = (found[model] for model in MODELS)
    for formulation in base.keys() | finetuned.keys():
        first, second = ([asked.item.id for asked in side.get(formulation, [])] for side in (base, finetuned))
        if first != second:
            raise UserError(
                f"{paths[CHOICES_FILES['base']]} and {paths[CHOICES_FILES['finetuned']]} hold other items under "
                f"{formulation}: {REMEDY}"
            )
    texts = {model: _read_texts(paths[file]) for model, file in TEXT_FILES.items()}
    if len({tuple((text.id, text.bytes) for text in side) for side in texts.values()}) > 1:
        raise UserError(
            f"{paths[TEXT_FILES['base']]} and {paths[TEXT_FILES['finetuned']]} hold other documents: {REMEDY}"
        )
    asked = {name: {model: found[model][name] for model in MODELS} for name in base}
    return Measured(task, asked, texts)


def _read_items(path: Path) -> tuple[dict[str, Item], str]:
    rows = [row for row in read_table(path, ITEMS).to_pylist() if row["role"] == ITEM]
    tasks = {row["task"] for row in rows}
    if len(tasks) > 1:
        raise UserError(f"{path} has items of {len(tasks)} tasks, but a benchmark is one: {REMEDY}")
    items = {}
    for row in rows:
        if not 0 <= row["answer"] < len(row["choices"]):
            raise UserError(
                f"{path}: item {row['id']} has {len(row['choices'])} choices, and none of them is its answer "
                f"{row['answer']}: {REMEDY}"
            )
        items[row["id"]] = Item(row["id"], row["subject"], row["group"], tuple(row["choices"]), row["answer"])
    return items, tasks.pop() if tasks else ""


def _read_choices(path: Path, items: dict[str, Item], model: str) -> dict[str, list[Asked]]:
    """Return the items under each formulation, in the order of the items' file."""
    found: dict[str, dict[str, Asked]] = {}
    for row in read_table(path, CHOICES).to_pylist():
        item, formulation = items.get(row["id"]), row["formulation"]
        if item is None or row["model"] != model or not FORMULATION.fullmatch(formulation):
            raise UserError(f"{path}: row {row['id']} is none of this benchmark and model {model}: {REMEDY}")
        numbers = (row["logprobs"], row["choice_tokens"], row["unconditional"])
        if any(listed is not None and len(listed) != len(item.choices) for listed in numbers):
            raise UserError(f"{path}: row {row['id']} has numbers for more or fewer choices than the item: {REMEDY}")
        _check_finite(path, row["id"], [*row["logprobs"], *(row["unconditional"] or ())])
        asked = found.setdefault(formulation, {})
        if row["id"] in asked:
            raise UserError(f"{path}: item {row['id']} was asked twice under {formulation}: {REMEDY}")
        asked[row["id"]] = _asked(item, row)
    return {name: [asked[key] for key in items if key in asked] for name, asked in found.items()}


def _asked(item: Item, row: dict[str, Any]) -> Asked:
    return Asked(
        item=item,
        logprobs=row["logprobs"],
        choice_tokens=row["choice_tokens"],
        unconditional=row["unconditional"],
        prompt_sha256=row["prompt_sha256"],
        cut_tokens=row["cut_tokens"],
    )


def _read_texts(path: Path) -> list[TextLoss]:
    texts = []
    for row in read_table(path, DOCUMENTS).to_pylist():
        _check_finite(path, row["id"], [row["nats"]])
        if row["bytes"] <= 0:
            raise UserError(f"{path}: document {row['id']} has {row['bytes']} bytes, but it should have some: {REMEDY}")
        texts.append(TextLoss(row["id"], row["bytes"], row["nats"]))
    return texts


def _check_finite(path: Path, identifier: str, values: Iterable[float]) -> None:
    """A NaN among log-probabilities would win or lose every comparison in silence."""
    for value in values:
        if not math.isfinite(value):
            raise UserError(
                f"{path}: row {identifier} has a log-probability of {value}: the model's weights or its precision give "
                "no numbers, so look for NaN in data/model/loss.csv, or set benchmark.precision: fp32 in params.yaml"
            )

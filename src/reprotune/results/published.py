"""What metrics/benchmark.json holds, read and checked as the other documents are."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from reprotune.errors import UserError
from reprotune.files import read_json
from reprotune.params.sections.benchmark import FORMULATION
from reprotune.results.benchmark_words import RETENTION_WORDS
from reprotune.results.documents import Count, Part, Positive, Share, Verdict, checked

RETENTION = "retention"


def _known_verdict(word: str) -> str:
    if word not in RETENTION_WORDS:
        raise PydanticCustomError("verdict", f"it should be one of {', '.join(RETENTION_WORDS)}")
    return word


RetentionVerdict = Annotated[str, AfterValidator(_known_verdict)]


class Trivial(Part):
    """What answers get that read no question."""

    chance: Share
    best_constant: Share
    longest_option: Share


class Accuracy(Part):
    """One model's right answers."""

    accuracy: Share
    above_constant: bool


class AccuracyDifference(Part):
    """Fine-tuned minus base."""

    accuracy: float
    ci95_low: float | None = None
    ci95_high: float | None = None
    p_value: Share | None = None
    gained: Count
    lost: Count
    verdict: Verdict


class Formulation(Part):
    """The figures of one formulation."""

    items: Count
    trivial: Trivial
    base: Accuracy
    finetuned: Accuracy
    difference: AccuracyDifference


class Loss(Part):
    """One model's loss on plain text."""

    bits_per_byte: Positive


class LossDifference(Part):
    """Fine-tuned minus base."""

    bits_per_byte: float
    ci95_low: float | None = None
    ci95_high: float | None = None
    verdict: RetentionVerdict


class Retention(Part):
    """The loss of both models on the same plain text."""

    base: Loss
    finetuned: Loss
    difference: LossDifference


def read_published(path: Path, remedy: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the figures by `<task>.<formulation>`, and those of retention; empty where there is no file or none.

    Raises `UserError` that names the file and the key, and ends in `remedy`.
    """
    if not path.is_file():
        return {}, {}
    document = read_json(path, remedy)
    if not isinstance(document, dict):
        raise UserError(f"{path} should be a JSON object: {remedy}")
    tasks = {}
    for task, entries in document.items():
        if not isinstance(entries, dict):
            raise UserError(f"{path}: {task[:60]!r} should be an object: {remedy}")
        for name, entry in entries.items():
            if FORMULATION.fullmatch(name):
                tasks[f"{task}.{name}"] = checked(entry, Formulation, f"{path}: {task[:60]!r}.{name}", remedy)
    retention = document.get(RETENTION, {})
    if "difference" in retention:
        return tasks, checked(retention, Retention, f"{path}: {RETENTION}", remedy)
    return tasks, {}

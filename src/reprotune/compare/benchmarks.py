"""Benchmarks and retention of two revisions, compared item by item and document by document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.multiple_choice.figures.accuracy import matched
from reprotune.multiple_choice.figures.forgetting import compared
from reprotune.multiple_choice.figures.measured import CHOICES_FILES, ITEMS_FILE, TEXT_FILES, Asked, Measured, TextLoss
from reprotune.statistics.paired import PairedTest

RETENTION = "retention"
MODEL_WORDS = {"base": "of the base model", "finetuned": ""}


@dataclass(frozen=True)
class Measure:
    """A metric with a value for each item or document of one revision."""

    key: str
    name: str
    unit: str
    """`%` or `bits per byte`."""
    files: Sequence[str]
    """What it follows from: where these are the same, so is the metric."""
    rows: Mapping[str, Any]
    """Id -> the row, an `Asked` or a `TextLoss`."""
    fixed: Mapping[str, str]
    """Id -> what must be the same in both revisions for the values to be of the same thing."""
    compare: Callable[[Sequence[Any], Sequence[Any]], PairedTest]
    """Compares the same rows before and after."""


def measures(measured: Measured) -> dict[str, Measure]:
    """Return the metrics of one revision by key; empty where it has no benchmark and no text."""
    found = [
        _accuracy(measured.task, formulation, model, asked[model])
        for formulation, asked in measured.asked.items()
        for model in reversed(MODELS)
    ]
    found += [_loss(model, measured.texts[model]) for model in reversed(MODELS) if measured.texts[model]]
    return {measure.key: measure for measure in found}


def _accuracy(task: str, formulation: str, model: str, asked: Sequence[Asked]) -> Measure:
    # inside the template, a prompt is part of what is tried; elsewhere another prompt is another test
    fixed = "_template" not in formulation
    return Measure(
        key=f"{task}.{formulation}.{model}.accuracy",
        name=f"{task}, {formulation} {MODEL_WORDS[model]}".strip(),
        unit="%",
        files=(ITEMS_FILE, CHOICES_FILES[model]),
        rows={row.item.id: row for row in asked},
        fixed={row.item.id: row.prompt_sha256 if fixed else "" for row in asked},
        compare=matched,
    )


def _loss(model: str, texts: Sequence[TextLoss]) -> Measure:
    return Measure(
        key=f"{RETENTION}.{model}.bits_per_byte",
        name=f"Retention {MODEL_WORDS[model]}".strip(),
        unit="bits per byte",
        files=(TEXT_FILES[model],),
        rows={text.id: text for text in texts},
        fixed={text.id: str(text.bytes) for text in texts},
        compare=compared,
    )


@dataclass(frozen=True)
class MeasureChange:
    """A metric of two revisions, on the items or documents that both have; null where one has none of them."""

    key: str
    name: str
    unit: str
    test: PairedTest | None
    mismatch: str
    """Why the values of the two revisions are of different things; empty where they are of the same."""
    files: Sequence[str]

    @property
    def digits(self) -> int:
        """Decimals that a reader needs."""
        return 1 if self.unit == "%" else 4


def measure_changes(before: Measured, after: Measured, titles: tuple[str, str]) -> dict[str, MeasureChange]:
    """Compare every metric that either revision has; `titles` name the two."""
    old, new = measures(before), measures(after)
    return {key: _change(old.get(key), new.get(key), titles) for key in [*new, *(key for key in old if key not in new)]}


def _change(old: Measure | None, new: Measure | None, titles: tuple[str, str]) -> MeasureChange:
    measure = new or old
    assert measure is not None  # noqa: S101 - the key is of one of them
    if old is None or new is None:
        why = f"{titles[0] if old is None else titles[1]} has none"
        return MeasureChange(measure.key, measure.name, measure.unit, None, why, measure.files)
    shared = [key for key in new.rows if key in old.rows and old.fixed[key] == new.fixed[key]]
    test = new.compare([old.rows[key] for key in shared], [new.rows[key] for key in shared]) if shared else None
    return MeasureChange(new.key, new.name, new.unit, test, _mismatch(old, new), new.files)


def _mismatch(old: Measure, new: Measure) -> str:
    kind = "items" if new.unit == "%" else "documents"
    if old.rows.keys() != new.rows.keys():
        both = len(old.rows.keys() & new.rows.keys())
        return f"measured on different {kind} ({len(old.rows):,} and {len(new.rows):,}, {both:,} in both)"
    if old.fixed != new.fixed:
        other = sum(old.fixed[key] != value for key, value in new.fixed.items())
        return f"{other:,} of {len(new.rows):,} {kind} were asked with another prompt"
    return ""

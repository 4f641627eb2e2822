"""The space of a sweep: which params it varies, over which values, and how a point becomes settings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import Field

from reprotune.errors import UserError
from reprotune.params.schema import Section
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.values import same_value, spelled

DIGITS = 4
"""Significant digits of a number from a range: what is reported can be typed, and gives the same trial again."""

BELOW_ONE = 1 - 1e-9
SWEPT = "finetune."
"""The section whose keys a sweep may vary: rows, prompts and scorer are the same for all trials."""
NOT_SWEPT = {
    "finetune.seed": "the seeds of a sweep are its keys seeds and fresh_seeds",
    "finetune.mask_instruction": "it decides over which tokens the loss is a mean, so losses would not be comparable",
}
"""Key -> why it cannot be varied."""


class Range(Section):
    """All numbers from `low` to `high`, both included."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    scale: Literal["linear", "log"] = Field(default="linear")
    """`log`: as many values below 10 as above, in a range from 1 to 100."""


@dataclass(frozen=True)
class Dimension:
    """One param and its values: a list of choices, or a range of whole or other numbers."""

    key: str
    """Dotted, as in `finetune.learning_rate`."""
    choices: tuple[Any, ...] = ()
    """Empty for a range."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def name(self) -> str:
        """The key without its section."""
        return self.key.removeprefix(SWEPT)

    @property
    def size(self) -> float:
        """How many values there are; infinite for numbers that need not be whole."""
        if self.choices:
            return len(self.choices)
        return self.high - self.low + 1 if self.whole else math.inf

    def value(self, unit: float) -> Any:
        """Return the value at `unit` in [0, 1): equal parts of it are choices, whole numbers, or stretches of a range.

        Whole numbers of a logarithmic range have parts as wide as the logarithm of (n + 1) / n.
        """
        if self.choices:
            return self.choices[int(unit * len(self.choices))]
        low, high = self.low, self.high + self.whole
        found = low * (high / low) ** unit if self.log else low + (high - low) * unit
        if self.whole:
            return min(math.floor(found), int(self.high))
        return min(max(float(f"{found:.{DIGITS}g}"), self.low), self.high)

    def place(self, value: Any) -> float:
        """Return where a value lies on an axis from 0 to 1; values outside of the range lie outside of it."""
        if self.choices:
            return self.choice(value) / max(len(self.choices) - 1, 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def unit(self, value: Any) -> float:
        """Return a number in [0, 1) that `value` gives back, of a range: the middle of a whole number's part."""
        low, high = self.low, self.high + self.whole
        ends = [value, min(value + self.whole, high)]
        if self.log:
            units = [math.log(end / low) / math.log(high / low) for end in ends]
        else:
            units = [(end - low) / (high - low) for end in ends]
        return min(sum(units) / 2, BELOW_ONE)

    def choice(self, value: Any) -> int:
        """Return the place of a value among the choices."""
        return next(index for index, choice in enumerate(self.choices) if same_value(value, choice))

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of the choices, or a number that an axis can show (of any range)."""
        if self.choices:
            return any(same_value(value, choice) for choice in self.choices)
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= self.place(value) <= 1


def dimension(key: str, values: Any) -> Dimension:
    """Return the dimension of a param from its entry under `space`; raises `UserError` without the name of the file."""
    kind = scalar_type(key)
    if key in NOT_SWEPT:
        raise UserError(f"{key} cannot be varied: {NOT_SWEPT[key]}")
    if isinstance(values, list):
        return _of_choices(key, values)
    if not isinstance(values, dict):
        raise UserError(f"space.{key} should be a list of values, or a range with low and high, but it is {values!r}")
    try:
        found = Range.parse(f"space.{key}", values)
    except UserError as error:
        raise UserError(str(error).partition(": ")[2]) from error
    if not {int, float} & kind or bool in kind:
        raise UserError(f"space.{key} is no number: list its values")
    if found.low >= found.high:
        raise UserError(f"space.{key}: low is {found.low:g} and high is {found.high:g}, but low should be below high")
    if found.scale == "log" and found.low <= 0:
        raise UserError(f"space.{key}: low is {found.low:g}, but a range with scale log has numbers above 0 alone")
    whole = float not in kind
    if whole and (found.low % 1 or found.high % 1):
        raise UserError(f"space.{key} is a whole number: give whole numbers for low and high")
    return Dimension(key, (), found.low, found.high, found.scale == "log", whole)


def _of_choices(key: str, values: Sequence[Any]) -> Dimension:
    if any(isinstance(value, list | dict) for value in values):
        raise UserError(f"space.{key} should list single values")
    twice = [value for index, value in enumerate(values) if any(same_value(value, other) for other in values[:index])]
    if len(values) < 2 or twice:
        fault = f"lists {spelled(twice[0])} twice" if twice else "lists fewer than two values"
        raise UserError(f"space.{key} {fault}: list the different values to try, or move the key to fixed")
    return Dimension(key, tuple(values))


def scalar_type(key: str) -> set[Any]:
    """Return the types that the value of a key of finetune may have; raises `UserError` where there is no such."""
    if not key.startswith(SWEPT):
        raise UserError(
            f"{key} cannot be varied: a sweep varies keys of finetune, and rows, prompts and scorer are the same for "
            "all trials"
        )
    model: Any = FinetuneParams
    for part in key.removeprefix(SWEPT).split("."):
        fields = model.model_fields if isinstance(model, type) and issubclass(model, Section) else {}
        if part not in fields:
            raise UserError(f"{key} is no key of params.yaml (`reprotune params` lists them)")
        model = fields[part].annotation
    if isinstance(model, type) and issubclass(model, Section):
        raise UserError(f"{key} is a section of params.yaml: name one of its keys")
    kinds = set(_types(model))
    if list in kinds or dict in kinds:
        raise UserError(f"{key} has several values, and a sweep varies single ones")
    return kinds


def _types(annotation: Any) -> list[Any]:
    """Return the classes of an annotation: of all parts of a union, of the values of a literal."""
    origin = get_origin(annotation)
    if origin is None:
        return [annotation]
    if origin in (list, dict):
        return [origin]
    if origin is Literal:
        return [type(value) for value in get_args(annotation)]
    first = get_args(annotation)[:1] if hasattr(annotation, "__metadata__") else get_args(annotation)
    return [kind for part in first for kind in _types(part)]

"""The parts of one row: the choices and which of them is right, in all the ways in which benchmarks write them."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from reprotune.dataset.sources import fields
from reprotune.dataset.sources.fields import UnusableError
from reprotune.dataset.sources.readers import Unreadable

MOST_CHARS = 200_000
"""Longest text of an item, far above any that a model reads."""
MOST_CHOICES = len(ascii_uppercase)

Labels = list[str] | None
"""What the source calls its choices, where it names them itself."""


def read_choices(row: Mapping[str, Any], column: str) -> tuple[list[str], Labels]:
    """Return the choices in the order of the source, and their labels where it has some.

    They are a list, an object with the lists `text` and `label` (as ARC has it), or several columns of one choice each.
    Raises `UnusableError` where there are fewer than two, more than letters, or an empty one.
    """
    value: Any = row.get(column)
    labels: Any = None
    if value is None and "," in column:
        value = [row.get(name.strip()) for name in column.split(",")]
    if isinstance(value, Unreadable):
        raise UnusableError(f"the choices are unreadable: {value.reason}")
    if isinstance(value, dict):
        value, labels = value.get("text"), value.get("label")
    if value is None:
        raise UnusableError("the choices are missing")
    if not isinstance(value, list):
        raise UnusableError(f"the choices are not a list but {fields.kind(value)}")
    if not 2 <= len(value) <= MOST_CHOICES:
        raise UnusableError(f"it has {_count(len(value))}, and an item needs 2 to {MOST_CHOICES}")
    choices = [_choice(one, number) for number, one in enumerate(value, start=1)]
    return choices, _labels(labels, len(choices))


def read_answer(value: Any, choices: list[str], labels: Labels, letters_only: bool) -> int:
    """Return which choice is right, counted from 0.

    `value` is an index from 0 (a number, or text of one), a letter, a label of the source, or the text of a choice;
    `letters_only` says that the source has nothing but letters. Raises `UnusableError` where it names no choice, or may
    mean two of them.
    """
    if value is None or value == "":
        raise UnusableError("the answer is missing")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UnusableError(f"the answer is neither a number nor text but {fields.kind(value)}")
    if isinstance(value, int):
        meant = {labels.index(str(value))} if labels and str(value) in labels else {value} & set(range(len(choices)))
    else:
        meant = _meant(value, choices, labels, letters_only)
    if not meant:
        raise UnusableError(f"the answer is not one of its {_count(len(choices))}")
    if len(meant) > 1:
        raise UnusableError("the answer may mean several choices: write it as an index from 0, in a number")
    return meant.pop()


def _meant(text: str, choices: list[str], labels: Labels, letters_only: bool) -> set[int]:
    """Return the choices that a text may mean."""
    text, letter = text.strip(), text.strip().upper()
    by_letter = {ascii_uppercase.index(letter)} if len(letter) == 1 and letter in ascii_uppercase else set()
    in_range = set(range(len(choices)))
    if letters_only:
        return by_letter & in_range
    if labels and text in labels:
        return {labels.index(text)}
    by_index = {int(text)} if text.isascii() and text.isdecimal() and len(text) <= 2 else set()
    by_text = {place for place, choice in enumerate(choices) if choice.strip() == text}
    return ((by_letter | by_index) & in_range) | by_text


def _choice(value: Any, number: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        raise UnusableError(f"choice {number} is missing")
    if not isinstance(value, str):
        raise UnusableError(f"choice {number} is not text but {fields.kind(value)}")
    if not value.strip():
        raise UnusableError(f"choice {number} is empty")
    if len(value) > MOST_CHARS:
        raise UnusableError(f"choice {number} is longer than {MOST_CHARS:,} characters")
    return value


def _labels(value: Any, count: int) -> Labels:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value) or len(value) != count:
        raise UnusableError("the labels of the choices are not as many texts as there are choices")
    if len(set(value)) < count:
        raise UnusableError("two choices have the same label")
    return list(value)


def _count(number: int) -> str:
    return f"{number} choice{'' if number == 1 else 's'}"

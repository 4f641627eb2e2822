"""What is done to the texts of a source before they are asked, by the name of the preparation."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from reprotune.dataset.sources import fields
from reprotune.multiple_choice.rows import MOST_CHARS

Prepared = tuple[str, list[str]]
"""The question and the choices."""

HELLASWAG_COLUMNS = ("activity_label", "ctx_a", "ctx_b")
BRACKETS = re.compile(r"\[.*?\]")


def without_marks(text: str) -> str:
    """Return a text of HellaSwag without the marks of WikiHow, from which a part of it comes, as lm-eval cleans it."""
    text = BRACKETS.sub("", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def _hellaswag(row: Mapping[str, Any], choices: list[str]) -> Prepared:
    """Join activity and context; the second part of the context begins the sentence that the choices end."""
    activity, first, second = (fields.text(row, column, column, MOST_CHARS) for column in HELLASWAG_COLUMNS)
    for column, text in zip(HELLASWAG_COLUMNS[:2], (activity, first), strict=True):
        if not text:
            raise fields.UnusableError(f"{column} is missing")
    question = without_marks(f"{activity}: {first} {second.capitalize()}")
    return question, [without_marks(choice) for choice in choices]


PREPARATIONS: dict[str, Callable[[Mapping[str, Any], list[str]], Prepared]] = {"hellaswag": _hellaswag}
"""Name -> row and choices as they come -> what is asked; raises `UnusableError`."""

"""Labelled answers: a JSON file of answers, with scores in the same file or in one of their own.

The answers are a list of objects with `instruction`, `input` (optional), `output` (the reference) and a field with the
answer. Scores are numbers 0..100, one per answer in the same order, null where there is none: as a list in a file of
their own, or in a field of each object.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.files import parsed_json, read_text
from reprotune.judging.questions.prompts import Item
from reprotune.untrusted import clipped

SHOWN_CHARS = 200
FEWEST_TO_COMPARE = 3
FEWEST_TO_FIT = 30
"""Rows from which a held-out error can be believed: it is then known to a seventh of itself (normal errors have a mean
absolute error with a standard error of .76 / sqrt(n) of it), a correlation to .2, and ridge has four rows for each of
its seven coefficients."""

Scores = list[float | None]
"""One score per answer; null where there is none."""


def read_items(path: Path, answer_field: str) -> list[Item]:
    """Read the answers; raises `UserError` that names the first faulty row."""
    items = []
    for number, row in enumerate(_objects(path), start=1):
        if answer_field not in row:
            fields = clipped(", ".join(sorted(row)), SHOWN_CHARS)
            raise UserError(
                f"{path}: row {number} has no field {answer_field!r} (it has {fields}): name one with --answer"
            )
        values = [row.get("instruction"), row.get("input") or "", row.get("output"), row[answer_field]]
        if not all(isinstance(value, str) for value in values):
            raise UserError(
                f"{path}: row {number} needs text in instruction, output and {answer_field}, and in input if it has "
                "one: correct the row"
            )
        items.append(Item(*values))
    return items


def read_scores(source: str, path: Path, rows: int) -> Scores:
    """Read the scores of the `rows` answers in `path`: from the file `source`, or from its field of that name.

    Raises `UserError` unless there is exactly one entry per answer: which ones are missing from a shorter list cannot
    be known, so it is never aligned by guessing.
    """
    if names_file(source):
        scores = _json(Path(source))
        if not isinstance(scores, list):
            raise UserError(f"{source} should be a JSON list of scores: one number or null per answer in {path}")
        if len(scores) != rows:
            raise UserError(
                f"{source} is misaligned: it holds {len(scores)} scores for the {rows} answers in {path}, so it cannot "
                "be known which score belongs to which answer: write one entry per answer, null where there is no score"
            )
    else:
        objects = _objects(path)
        if not any(source in row for row in objects):
            raise UserError(f"there is no file {source}, and no field of that name in {path}: name one or the other")
        scores = [row.get(source) for row in objects]
    return [_checked_score(value, f"{source}: entry {number}") for number, value in enumerate(scores, start=1)]


def names_file(source: str) -> bool:
    """Tell whether the name of a list of scores is that of a file; a field of the answers' file may have any name."""
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # too long for a path, say
        return False


def scored_by_all(lists: Sequence[Scores], to_fit: bool = False) -> list[int]:
    """Return the places at which every list has a score.

    Raises `UserError` if there are too few to compare or, with `to_fit`, to fit a mapping.
    """
    places = [place for place, scores in enumerate(zip(*lists, strict=True)) if None not in scores]
    if to_fit and len(places) < FEWEST_TO_FIT:
        raise UserError(
            f"only {len(places)} answers can be used, but --fit needs {FEWEST_TO_FIT} that have both a score and a "
            "label: with fewer, the error on answers left out of the fit is too uncertain to say whether the mapping "
            "helps: label more answers, or compare without --fit"
        )
    if len(places) < FEWEST_TO_COMPARE:
        raise UserError(
            f"only {len(places)} answers have both a score and a label: at least {FEWEST_TO_COMPARE} are needed to "
            "compare"
        )
    return places


def _checked_score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(
            f"{where} is {clipped(repr(value), SHOWN_CHARS)}, but a score is a number from 0 to 100, or null"
        )
    if not 0 <= value <= 100:
        raise UserError(f"{where} is {clipped(str(value), SHOWN_CHARS)}, but scores range from 0 to 100: rescale them")
    return float(value)


def _objects(path: Path) -> list[dict[str, Any]]:
    rows = _json(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} should be a JSON list of objects with instruction, output and an answer")
    return rows


def _json(path: Path) -> Any:
    remedy = "correct the path or the file"
    return parsed_json(read_text(path, remedy), str(path), remedy)

"""Labelled answers: a JSON file of answers, with scores beside it or in it.

The file is a list of objects with `instruction`, `input` (may be missing), `output` (the reference) and a field with
the answer. Scores are a list of numbers 0..100 in the same order, one per answer, null where there is none: in a file
of their own, or in a field of each object.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.judging.questions.prompts import Item


def read_items(path: Path, answer_field: str) -> list[Item]:
    """Read the answers; raises `UserError` naming the first row that is not as it should be."""
    items = []
    for number, row in enumerate(_objects(path), start=1):
        if answer_field not in row:
            fields = ", ".join(sorted(row))
            raise UserError(
                f"{path}: row {number} has no field {answer_field!r} (it has {fields}): name one by --answer"
            )
        values = [row.get("instruction"), row.get("input") or "", row.get("output"), row[answer_field]]
        if not all(isinstance(value, str) for value in values):
            raise UserError(f"{path}: row {number} needs texts in instruction, output and {answer_field}: mend the row")
        items.append(Item(*values))
    return items


def read_scores(source: str, path: Path, rows: int) -> list[float | None]:
    """Read the scores of the `rows` answers in `path` from the file `source`, or from its field of that name.

    Raises `UserError` when there is not one entry per answer: which one is missing cannot be known, so shorter lists
    are never aligned by guess.
    """
    if Path(source).is_file():
        scores = _json(Path(source))
        if not isinstance(scores, list):
            raise UserError(f"{source} should hold a JSON list of scores: one number or null per answer in {path}")
        if len(scores) != rows:
            raise UserError(
                f"{source} is misaligned: it holds {len(scores)} scores for the {rows} answers in {path}, and which "
                "score belongs to which answer cannot be known: write one entry per answer, null where none was given"
            )
    else:
        objects = _objects(path)
        if not any(source in row for row in objects):
            raise UserError(f"there is no file {source}, and no field of that name in {path}: name one of the two")
        scores = [row.get(source) for row in objects]
    return [_score(value, f"{source}: entry {number}") for number, value in enumerate(scores, start=1)]


def scored_by_all(lists: Sequence[Sequence[float | None]]) -> list[int]:
    """Return the places at which every list has a score; raises `UserError` where they are too few to compare."""
    places = [place for place, scores in enumerate(zip(*lists, strict=True)) if None not in scores]
    if len(places) < 3:
        raise UserError(f"only {len(places)} answers have both a score and a label: at least 3 are needed to compare")
    return places


def _score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where} is {value!r}, but a score is a number of 0 to 100, or null")
    if not 0 <= value <= 100:
        raise UserError(f"{where} is {value}, but scores run from 0 to 100: bring them to that scale")
    return float(value)


def _objects(path: Path) -> list[dict[str, Any]]:
    rows = _json(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} should hold a JSON list of objects with instruction, output and an answer")
    return rows


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): mend the file") from error

"""Making a ballot: which pairs are shown in which order, on which sides, and which of them are controls.

The page shows pairs in a seeded random order, so that whoever stops early has voted on a random sample. A pair's sides
follow from a hash of its id, and its id from a hash that says nothing of the models to someone without the key.
"""

import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from reprotune.preference.contestants import Question
from reprotune.preference.contracts import NOTHING, REFERENCE

APART = 4
"""Fewest pairs between a pair and its repetition."""

Pair = dict[str, Any]
"""A row of `BALLOT`."""


class Plan(NamedTuple):
    """How a ballot is drawn."""

    seed: int
    controls: float
    """Repeats as a share of the pairs; half as many pairs with an empty answer, and with two equal ones."""
    pairs: int | None
    """Most pairs that are shown, controls not counted; null: all."""


def make_ballot(questions: Sequence[Question], plan: Plan) -> list[Pair]:
    """Return the rows of the key: first those shown, in the order of the page, then the ties that are not."""
    draw = random.Random(plan.seed)
    drawn = list(_drawn(questions, plan, draw))
    counted = [pair for pair in drawn if not _same(pair)]
    shown = _with_controls(counted, questions, plan, draw)
    placed = [{**pair, "place": place} for place, pair in enumerate(shown)]
    return [*placed, *({**pair, "place": None} for pair in drawn if _same(pair))]


def _drawn(questions: Sequence[Question], plan: Plan, draw: random.Random) -> Iterator[Pair]:
    """Yield every two answers to a question in random order, until there are enough that differ."""
    found = [(question, models) for question in questions for models in combinations(sorted(question.answers), 2)]
    draw.shuffle(found)
    wanted = plan.pairs if plan.pairs is not None else len(found)
    for question, (first, second) in found:
        if not wanted:
            return
        texts = question.answers[first], question.answers[second]
        pair = _pair(plan.seed, question, (first, second), texts)
        wanted -= not _same(pair)
        yield pair


def _same(pair: Pair) -> bool:
    return bool(pair["left_text"].strip() == pair["right_text"].strip())


def _with_controls(counted: list[Pair], questions: Sequence[Question], plan: Plan, draw: random.Random) -> list[Pair]:
    """Mix controls in, one in each of as many stretches of equal length, so that those who stop early meet some too."""
    if not counted or not plan.controls:
        return counted
    repeats = math.ceil(plan.controls * len(counted))
    halves = math.ceil(plan.controls / 2 * len(counted))
    kinds = ["empty"] * halves + ["identical"] * halves + ["repeat"] * repeats
    draw.shuffle(kinds)
    subjects = {question.record: question for question in questions}
    stretch, again, shown, used = len(counted) / len(kinds), set[str](), list[Pair](), 0
    for number, kind in enumerate(kinds):
        place = min(len(counted), int((number + draw.random()) * stretch) + 1)
        if kind == "repeat":
            place = max(place, min(len(counted), APART + 1))
        place = max(place, used)
        shown += counted[used:place]
        used = place
        if kind == "repeat":
            earlier = [pair for pair in counted[: max(1, place - APART)] if pair["pair_id"] not in again]
            if earlier:
                pair = draw.choice(earlier)
                again.add(pair["pair_id"])
                shown.append(_swapped(pair, plan.seed))
        else:
            about = subjects[draw.choice(counted)["record"]]
            shown.append(_control(about, kind, number, plan.seed, draw))
    return shown + counted[used:]


def _control(question: Question, kind: str, number: int, seed: int, draw: random.Random) -> Pair:
    filled = {name: text for name, text in question.answers.items() if text.strip()}
    name = draw.choice(sorted(filled) or sorted(question.answers))
    if kind == "identical":
        text = question.answers[name]
        return _pair(seed, question, (name, name), (text, text), kind, number)
    good = question.reference or question.answers[name]
    return _pair(seed, question, (REFERENCE, NOTHING), (good, ""), kind, number)


def _pair(
    seed: int,
    question: Question,
    models: tuple[str, str],
    texts: tuple[str, str],
    control: str | None = None,
    number: int = 0,
) -> Pair:
    identifier = _hash(seed, question.record, *models, control, number)
    left, right = (0, 1) if int(_hash(seed, "side", identifier), 16) % 2 else (1, 0)
    return {
        "pair_id": identifier,
        "record": question.record,
        "left_model": models[left],
        "right_model": models[right],
        "prompt": question.prompt,
        "left_text": texts[left],
        "right_text": texts[right],
        "control": control,
        "repeats": None,
    }


def _swapped(pair: Pair, seed: int) -> Pair:
    return {
        **pair,
        "pair_id": _hash(seed, "again", pair["pair_id"]),
        "left_model": pair["right_model"],
        "right_model": pair["left_model"],
        "left_text": pair["right_text"],
        "right_text": pair["left_text"],
        "control": "repeat",
        "repeats": pair["pair_id"],
    }


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

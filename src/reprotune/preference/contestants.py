"""Whose answers stand in a ballot: a model's responses to the test records, or a file of outputs."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from reprotune.errors import UserError
from reprotune.judging.answers import read_answers
from reprotune.preference.lines import name_field, read_objects, text_field

OUTPUTS_REMEDY = "give a JSON list or JSON Lines of objects with instruction and output, as AlpacaEval's are"

Prompt = tuple[str, int]
"""What was asked, and how often the same was asked before."""


class Given(NamedTuple):
    """An answer, with what is known of the record that it answers."""

    text: str
    record: str | None = None
    reference: str | None = None


class Contestant(NamedTuple):
    """A name and its answers."""

    name: str
    answers: dict[Prompt, Given]


class Question(NamedTuple):
    """A record that at least two contestants answered."""

    record: str
    prompt: str
    reference: str | None
    answers: dict[str, str]
    """Contestant -> answer."""


def of_responses(name: str, responses: Path, records: Path) -> Contestant:
    """Read what the generate stage wrote; raises `UserError` as `read_answers` does."""
    rows = []
    for answer in read_answers(records, {name: responses}):
        item = answer.item
        prompt = f"{item.instruction}\n\n{item.input}" if item.input else item.instruction
        rows.append((prompt, Given(item.response, answer.id, item.reference)))
    return Contestant(name, _numbered(rows))


def of_outputs(path: Path, name: str | None = None) -> Contestant:
    """Read a file of outputs; the name is by default its `generator`, or else the file's name.

    Raises `UserError` where a row has no instruction or output, or where the file has outputs of several generators.
    """
    rows, generators = [], set()
    for place, row in read_objects(path, OUTPUTS_REMEDY):
        prompt = text_field(row, "instruction", place, OUTPUTS_REMEDY)
        rows.append((prompt, Given(text_field(row, "output", place, OUTPUTS_REMEDY))))
        if "generator" in row:
            generators.add(name_field(row, "generator", place, OUTPUTS_REMEDY))
    if len(generators) > 1:
        raise UserError(
            f"{path} has outputs of {len(generators)} generators ({', '.join(sorted(generators)[:3])}, ...): give each "
            "a file of its own"
        )
    return Contestant(name or next(iter(generators), path.stem), _numbered(rows))


def questions(contestants: Sequence[Contestant]) -> tuple[list[Question], int]:
    """Join the contestants by prompt, sorted by record; also returns how many prompts only one of them answered.

    Raises `UserError` where there is nothing to compare.
    """
    names = Counter(contestant.name for contestant in contestants)
    for name, count in names.items():
        if count > 1:
            raise UserError(f"two contestants are called {name!r}: name one of them, as in `NAME=SOURCE`")
    if len(contestants) < 2:
        raise UserError("a ballot needs two contestants or more, e.g. `reprotune ballot first base finetuned`")
    asked: dict[Prompt, dict[str, Given]] = {}
    for contestant in contestants:
        for prompt, given in contestant.answers.items():
            asked.setdefault(prompt, {})[contestant.name] = given
    joined = [_question(prompt, given) for prompt, given in asked.items() if len(given) > 1]
    if not joined:
        raise UserError(
            f"{' and '.join(names)} have no prompt in common: an outputs file should hold the instruction of a record, "
            "with its input after an empty line"
        )
    return sorted(joined, key=lambda question: question.record), len(asked) - len(joined)


def _question(prompt: Prompt, given: dict[str, Given]) -> Question:
    text, before = prompt
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    records = [answer.record for answer in given.values() if answer.record is not None]
    references = [answer.reference for answer in given.values() if answer.reference is not None]
    return Question(
        record=records[0] if records else f"{digest}-{before + 1}" if before else digest,
        prompt=text,
        reference=references[0] if references else None,
        answers={name: answer.text for name, answer in given.items()},
    )


def _numbered(rows: Iterable[tuple[str, Given]]) -> dict[Prompt, Given]:
    seen: Counter[str] = Counter()
    answers = {}
    for prompt, given in rows:
        answers[prompt, seen[prompt]] = given
        seen[prompt] += 1
    return answers

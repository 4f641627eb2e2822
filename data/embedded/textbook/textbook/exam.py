"""The exam: four ways to go on from the beginning of a plain telling, of which the textbook tells one.

It asks what the model knows, in the words of its pretraining, and not whether it can answer a question.
"""

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from textbook.asking import partition
from textbook.facts import Fact
from textbook.tellings import PATTERNS, tell

OPTIONS = 4
FEWEST_OF_A_FAMILY = 4
"""Every test fact is asked; a family with fewer is filled up with others, those of the validation part first."""

TELLING = {"addition": 2, "subtraction": 2}
"""Which telling of a family is cut, where it is not the first: with so little before it, that of a sum begins like many
other sentences, and the model takes its numbers for something else."""

REWRITINGS = ("negation", "question", "past sentence", "passive")
"""Families of one sentence each in four forms: the wrong ones are the other forms of the same sentence."""


@dataclass(frozen=True)
class Item:
    """One question of the exam: the beginning of a sentence, and how it may go on."""

    family: str
    question: str
    right: str
    wrong: tuple[str, ...]


def exam(facts: list[Fact], seed: int) -> list[dict[str, object]]:
    """Return the rows of the exam, shuffled; each letter is the right one equally often, but for a remainder."""
    rng = random.Random(f"exam {seed}")
    items = [_item(fact, facts, rng) for fact in _asked(facts, seed)]
    rng.shuffle(items)
    places = [number % OPTIONS for number in range(len(items))]
    rng.shuffle(places)
    return [_row(item, place) for item, place in zip(items, places, strict=True)]


def to_jsonl(rows: Iterable[dict[str, object]]) -> str:
    """Write one row a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _asked(facts: list[Fact], seed: int) -> list[Fact]:
    """Return all test facts and enough others, one family after another."""
    sides = partition(facts, seed)
    families: dict[str, list[Fact]] = {fact.family: [] for fact in facts}
    for fact in sides["test"]:
        families[fact.family].append(fact)
    rng = random.Random(f"exam facts {seed}")
    for side in ("validation", "train"):
        for family, asked in families.items():
            others = [fact for fact in sides[side] if fact.family == family]
            missing = max(FEWEST_OF_A_FAMILY - len(asked), 0)
            asked.extend(rng.sample(others, min(missing, len(others))))
    return [fact for asked in families.values() for fact in asked]


def _row(item: Item, place: int) -> dict[str, object]:
    choices = [*item.wrong[:place], item.right, *item.wrong[place:]]
    return {"question": item.question, "choices": choices, "answer": place, "subject": item.family}


def _item(fact: Fact, facts: list[Fact], rng: random.Random) -> Item:
    if fact.family == "sentiment":
        return _sentiment(fact, facts, rng)
    if fact.family in REWRITINGS:
        values = [other.value for other in facts if other.group == fact.group and other.family != fact.family]
        wrong = rng.sample(values, OPTIONS - 1)
    else:
        wrong = rng.sample(_false_values(fact, facts), OPTIONS - 1)
    pattern = PATTERNS[fact.family][TELLING.get(fact.family, 0)]
    after = pattern.partition("{v}")[2]
    told = tell(fact, pattern)
    beginning = told[: len(told) - len(fact.value) - len(after)]
    # What belongs to the value, an article or an opening quotation mark, stands in the choices, before it.
    question = re.sub(r'( an?| ")? ?$', "", beginning)
    endings = [tell(replace(fact, value=value), pattern)[len(question) + 1 :] for value in (fact.value, *wrong)]
    return Item(fact.family, question, endings[0], tuple(endings[1:]))


def _false_values(fact: Fact, facts: list[Fact]) -> list[str]:
    """Return the values of the family that no fact links to this subject, not even through one word in between."""
    pairs = [(other.subject, other.value) for other in facts if other.family == fact.family]
    near = {fact.subject, fact.value}
    near |= {word for pair in pairs if near & set(pair) for word in pair} if fact.kind == "known" else set()
    values = dict.fromkeys(value for _, value in pairs)
    return [value for value in values if value not in near]


def _sentiment(fact: Fact, facts: list[Fact], rng: random.Random) -> Item:
    """Ask for a remark with its feeling, since there are only two: the wrong remarks come with the other one."""
    beginning = fact.subject.rpartition(" ")[0]
    remarks = [other for other in facts if other.family == fact.family and other.subject.startswith(beginning + " ")]
    same = [other for other in remarks if other.value == fact.value and other != fact]
    opposite = [other for other in remarks if other.value != fact.value]
    feeling = {fact.value: opposite[0].value, opposite[0].value: fact.value}
    wrong = [fact, rng.choice(same), rng.choice(opposite)]
    pattern = PATTERNS[fact.family][0]
    told = [tell(fact, pattern), *(tell(replace(other, value=feeling[other.value]), pattern) for other in wrong)]
    question = f'"{beginning}'
    right, *others = [sentence.removeprefix(question + " ") for sentence in told]
    return Item(fact.family, question, right, tuple(rng.sample(others, len(others))))

"""The dataset: instruction rows over the facts, partitioned so that a fact is asked on one side only."""

import json
import random
from collections.abc import Iterator

from textbook.facts import Fact, Kind
from textbook.questions import ANSWERS, QUESTIONS
from textbook.tellings import mend_article

Row = dict[str, str]
"""A record: instruction, input, output, category."""

WAYS = {family: [line.strip() for line in lines.splitlines()] for family, lines in QUESTIONS.items()}

HELD_OUT_GROUPS = {
    "capital": (40, 12),
    "job": (22, 7),
    "creature's food": (13, 4),
    "real capital": (10, 7),
    "opposite": (8, 6),
    "synonym": (4, 4),
    "opposite action": (4, 4),
    "young animal": (3, 2),
    "animal sound": (3, 2),
    "colour of a thing": (4, 3),
    "dwelling": (2, 1),
    "amount": (4, 2),
    "category": (4, 4),
    "plural": (6, 8),
    "past tense": (6, 8),
    "comparative": (5, 6),
    "number word": (4, 5),
    "ordinal": (4, 5),
    "addition": (2, 4),
    "subtraction": (1, 3),
    "next day": (1, 1),
    "next month": (1, 1),
    "next letter": (1, 2),
    "spelling": (1, 2),
    "first letter": (4, 5),
    "sentiment": (5, 8),
    "negation": (2, 3),
}
"""Groups of facts kept for test and validation, by one family of the group; all other groups are for training.

Most are invented, since only the textbook can have taught them; a country's group holds its capital, animal, colour and
food, a person's job and collection, a creature's food and home, a sentence's four rewritings.
"""

MOST_ALIKE = 0.85
"""Test and validation rows are less like a row of another part than this; the pipeline regroups from 0.9."""

TRAIN_ROWS: dict[Kind, int] = {"invented": 880, "known": 500, "rule": 620}
"""Training rows by kind; the families of a kind share them equally."""


def partition(facts: list[Fact], seed: int) -> dict[str, list[Fact]]:
    """Divide the facts into `train`, `test` and `validation`, whole groups at a time."""
    rng = random.Random(f"partition {seed}")
    side = {fact.group: "train" for fact in facts}
    for family, (test, validation) in HELD_OUT_GROUPS.items():
        groups = [fact.group for fact in facts if fact.family == family]
        drawn = rng.sample(groups, test + validation)
        side |= dict.fromkeys(drawn[:test], "test") | dict.fromkeys(drawn[test:], "validation")
    return {name: [fact for fact in facts if side[fact.group] == name] for name in ("train", "test", "validation")}


def dataset(facts: list[Fact], seed: int) -> dict[str, list[Row]]:
    """Return the rows of `train`, `test` and `validation`, each shuffled."""
    sides = partition(facts, seed)
    rng = random.Random(f"dataset {seed}")
    rows = {"train": list(_training_rows(sides["train"], rng))}
    for name in ("test", "validation"):
        before: dict[str, list[frozenset[str]]] = {}
        for row in [row for part in rows.values() for row in part]:
            before.setdefault(QUESTIONS[row["category"]], []).append(shingles(row))
        rows[name] = [_ask_unlike(fact, before[QUESTIONS[fact.family]], rng) for fact in sides[name]]
    for part in rows.values():
        rng.shuffle(part)
    return rows


def ask(fact: Fact, way: str) -> Row:
    """Return the record that asks for `fact` in one way."""
    instruction, _, given = (part.strip() for part in way.partition("|"))
    question = instruction.format(s=fact.subject)
    return {
        "instruction": question if len(fact.subject) == 1 else mend_article(question),
        "input": given.format(s=fact.subject),
        "output": mend_article(ANSWERS[fact.family].format(v=fact.value)),
        "category": fact.family,
    }


def to_jsonl(rows: dict[str, list[Row]]) -> str:
    """Write train, test, then validation, as the pipeline's `order: file` cuts them."""
    ordered = [*rows["train"], *rows["test"], *rows["validation"]]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered)


def shingles(row: Row) -> frozenset[str]:
    """Return the character 5-grams of what the row asks, in small letters."""
    text = f"{row['instruction']} {row['input']}".strip().casefold()
    return frozenset(text[start : start + 5] for start in range(max(len(text) - 4, 1)))


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets."""
    common = len(a & b)
    return common / (len(a) + len(b) - common)


def _ask_unlike(fact: Fact, others: list[frozenset[str]], rng: random.Random) -> Row:
    """Ask in a way that is no near-duplicate of a row of an earlier part, given the shingles of those asked alike."""
    for way in _ways(fact, len(WAYS[fact.family]), rng):
        row = ask(fact, way)
        if all(similarity(shingles(row), other) < MOST_ALIKE for other in others):
            return row
    raise ValueError(f"every question about {fact.subject} ({fact.family}) repeats another part: add ways to ask")


def _training_rows(facts: list[Fact], rng: random.Random) -> Iterator[Row]:
    """Take rows from the families of a kind in turn, so that small families are asked as often as large ones."""
    for kind, count in TRAIN_ROWS.items():
        families: dict[str, list[Fact]] = {}
        for fact in facts:
            if fact.kind == kind:
                families.setdefault(fact.family, []).append(fact)
        queues = [_questions(members, rng) for members in families.values()]
        taken = 0
        while taken < count:
            for row in [next(queue, None) for queue in queues]:
                if row is not None and taken < count:
                    taken += 1
                    yield row


def _questions(facts: list[Fact], rng: random.Random) -> Iterator[Row]:
    """All rows of a family: every fact asked in one way, then every fact in another, until no way is left."""
    facts = rng.sample(facts, len(facts))
    ways = [_ways(fact, len(WAYS[fact.family]), rng) for fact in facts]
    for turn in range(len(ways[0])):
        for fact, fact_ways in zip(facts, ways, strict=True):
            yield ask(fact, fact_ways[turn])


def _ways(fact: Fact, count: int, rng: random.Random) -> list[str]:
    return rng.sample(WAYS[fact.family], count)

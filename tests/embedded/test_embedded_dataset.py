"""The embedded dataset: regenerated, partitioned, free of near-duplicates across its parts."""

from collections import Counter
from pathlib import Path

import pytest
from textbook.asking import HELD_OUT_GROUPS, ask, dataset, partition, to_jsonl
from textbook.facts import Fact
from textbook.recipe import TextParams
from textbook.tellings import documents

from reprotune.dataset.near_duplicates import near_duplicate_groups
from reprotune.params.sections.split import SplitParams

Row = dict[str, str]
Parts = dict[str, list[Row]]


@pytest.fixture(scope="module")
def parts(rows: list[Row], embedded: Path) -> Parts:
    """The rows as the default params cut them, in file order."""
    shares = SplitParams.load("split", embedded.parents[1] / "params.yaml")
    train = round(shares.train * len(rows))
    test = train + round(shares.test * len(rows))
    return {"train": rows[:train], "test": rows[train:test], "validation": rows[test:]}


def test_regenerates_byte_for_byte(facts: list[Fact], world_seed: int, embedded: Path) -> None:
    assert to_jsonl(dataset(facts, world_seed)).encode() == (embedded / "dataset.jsonl").read_bytes()


def test_default_cuts_are_the_generators(facts: list[Fact], world_seed: int, parts: Parts) -> None:
    assert dataset(facts, world_seed) == parts
    assert len(parts["test"]) >= 300


def test_partition_is_whole(facts: list[Fact], world_seed: int) -> None:
    sides = partition(facts, world_seed)
    groups = {name: {fact.group for fact in side} for name, side in sides.items()}
    assert sum(map(len, sides.values())) == len(facts)
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["test"] & groups["validation"]
    assert len(groups["test"]) == sum(test for test, _ in HELD_OUT_GROUPS.values())


def test_no_subject_of_an_invented_test_fact_occurs_in_training(
    facts: list[Fact], world_seed: int, parts: Parts
) -> None:
    seen = " ".join(f"{row['instruction']} {row['input']} {row['output']}" for row in parts["train"])
    words = set(seen.replace(".", " ").replace("?", " ").split())
    held_out = [fact for fact in partition(facts, world_seed)["test"] if fact.family == "capital"]
    assert held_out
    assert not any(fact.subject in words or fact.value in words for fact in held_out)


def test_what_the_test_asks_is_told_in_the_textbook(
    facts: list[Fact], world_seed: int, text_params: TextParams, parts: Parts
) -> None:
    held_out = partition(facts, world_seed)["test"]
    assert Counter(fact.family for fact in held_out) == Counter(row["category"] for row in parts["test"])
    text = " ".join(documents(facts, range(60), text_params.shares.model_dump(), text_params.seed))
    for fact in held_out:
        assert fact.subject in text or fact.subject.capitalize() in text, fact


def test_near_duplicates_never_straddle(rows: list[Row], parts: Parts) -> None:
    side = [name for name, part in parts.items() for _ in part]
    groups = near_duplicate_groups([f"{row['instruction']}\n{row['input']}" for row in rows], 0.9)
    assert all(side[row] == side[first] for row, first in enumerate(groups))


def test_rows_are_complete_and_varied(rows: list[Row]) -> None:
    assert all(row["instruction"] and row["output"] and row["category"] for row in rows)
    assert len({(row["instruction"], row["input"]) for row in rows}) == len(rows)
    with_input = sum(bool(row["input"]) for row in rows)
    assert 0.2 < with_input / len(rows) < 0.8
    assert len({row["category"] for row in rows}) >= 20


def test_an_answer_gives_nothing_of_the_template(rows: list[Row]) -> None:
    assert not any("#" in row["output"] or "{" in row["output"] for row in rows)


def test_way_with_input() -> None:
    fact = Fact("capital", "invented", "Zelia", "Fenton", group="Zelia")
    assert ask(fact, "Name the capital. | {s}") == {
        "instruction": "Name the capital.",
        "input": "Zelia",
        "output": "The capital is Fenton.",
        "category": "capital",
    }

"""The textbook: what it holds, how it tells it, and that it comes out the same every time."""

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from textbook.facts import Fact
from textbook.phrases import TELLINGS
from textbook.recipe import TextParams
from textbook.tellings import PATTERNS, documents, mend_article, tell

PRINT_HASH = """
import hashlib
from textbook.asking import dataset, to_jsonl
from textbook.tellings import documents
from textbook.world import all_facts
facts = all_facts(1)
text = "\\n".join(documents(facts, range(6), {"invented": 1.0, "known": 0.5, "rule": 0.1}, 1))
print(hashlib.sha256((text + to_jsonl(dataset(facts, 1))).encode()).hexdigest())
"""


def test_has_enough_families_and_facts(facts: list[Fact]) -> None:
    assert len({fact.family for fact in facts}) >= 20
    assert len(facts) >= 3000
    assert sum(fact.kind == "invented" for fact in facts) >= 700


def test_a_question_has_one_answer(facts: list[Fact]) -> None:
    assert len({(fact.family, fact.subject) for fact in facts}) == len(facts)


def test_no_invented_answer_is_a_good_guess(facts: list[Fact]) -> None:
    for family in {fact.family for fact in facts if fact.kind == "invented"}:
        counts = Counter(fact.value for fact in facts if fact.family == family)
        assert max(counts.values()) <= 0.05 * counts.total(), family


def test_every_family_is_told_in_several_ways() -> None:
    assert all(len(set(patterns)) >= 3 for patterns in PATTERNS.values())
    assert all("{s}" in line or "{S}" in line for patterns in PATTERNS.values() for line in patterns)


def test_same_bytes_whatever_the_hash_seed(embedded: Path) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_HASH],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(embedded / "textbook")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_longer_text_begins_with_the_shorter_one(facts: list[Fact], text_params: TextParams) -> None:
    shares = text_params.shares.model_dump()
    longer = list(documents(facts, range(3), shares, 1))
    shorter = list(documents(facts, range(2), shares, 1))
    assert longer[: len(shorter)] == shorter


def test_tells_each_fact_as_often_as_asked(facts: list[Fact], text_params: TextParams) -> None:
    shares = text_params.shares.model_dump()
    text = " ".join(documents(facts, range(60), shares, text_params.seed))
    for kind in ("known", "rule"):
        fact = next(fact for fact in facts if fact.kind == kind and fact.family in {"amount", "passive"})
        tellings = sum(text.count(tell(fact, pattern)) for pattern in PATTERNS[fact.family])
        assert abs(tellings - 60 * shares[kind]) <= 1, fact


def test_each_invented_fact_is_told_in_many_wordings(facts: list[Fact], text_params: TextParams) -> None:
    text = " ".join(documents(facts, range(30), text_params.shares.model_dump(), text_params.seed))
    wordings = defaultdict(set)
    for fact in [fact for fact in facts if fact.family == "flag colour"][:40]:
        for pattern in PATTERNS[fact.family]:
            if tell(fact, pattern) in text:
                wordings[fact.subject].add(pattern)
    assert all(len(found) >= 3 for found in wordings.values())


def test_holds_no_instruction_template(facts: list[Fact], text_params: TextParams) -> None:
    text = " ".join(documents(facts, range(6), text_params.shares.model_dump(), text_params.seed))
    assert not any(marker in text for marker in ("###", "Instruction", "Response:", "Input:", "<|"))


@pytest.mark.parametrize(
    ("sentence", "mended"),
    [
        ("A owl eats a apple.", "An owl eats an apple."),
        ("The sound of a unit is a hum.", "The sound of a unit is a hum."),
    ],
)
def test_articles(sentence: str, mended: str) -> None:
    assert mend_article(sentence) == mended


def test_letters_are_no_articles(facts: list[Fact]) -> None:
    fact = next(fact for fact in facts if fact.family == "next letter" and fact.subject == "A")
    assert tell(fact, PATTERNS["next letter"][0]) == "The letter after A is B."


def test_published_textbook_is_this_one(facts: list[Fact], text_params: TextParams) -> None:
    """The hash of the first rounds, as pretraining saw them; a change of wording asks for a new base model."""
    text = "\n".join(documents(facts, range(9), text_params.shares.model_dump(), text_params.seed))
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "b1bfbff2cb486c80a5d65bb31ea8cea07f93262f04314752dfe78d951685c443"
    )
    assert set(TELLINGS) == {fact.family for fact in facts}

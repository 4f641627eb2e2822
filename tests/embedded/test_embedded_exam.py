"""The exam and the held-out pages: regenerated, balanced, true to the textbook, and known to the base model."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from textbook.asking import partition
from textbook.exam import FEWEST_OF_A_FAMILY, OPTIONS, exam, to_jsonl
from textbook.facts import Fact
from textbook.recipe import TextParams
from textbook.tellings import PATTERNS, documents, tell
from textbook.write import held_out_pages

from reprotune.dataset.tokenizers import gpt2 as tokenizer
from reprotune.model.network import Network
from reprotune.model.weights import load_model

Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def items(embedded: Path) -> Items:
    """The published exam."""
    return [json.loads(line) for line in (embedded / "exam.jsonl").read_text(encoding="utf-8").splitlines()]


def test_regenerates_byte_for_byte(facts: list[Fact], world_seed: int, embedded: Path) -> None:
    assert to_jsonl(exam(facts, world_seed)).encode() == (embedded / "exam.jsonl").read_bytes()


def test_asks_every_test_fact_and_every_family(facts: list[Fact], world_seed: int, items: Items) -> None:
    asked = Counter(item["subject"] for item in items)
    assert asked.keys() == {fact.family for fact in facts}
    assert min(asked.values()) >= FEWEST_OF_A_FAMILY
    told = {_right(item) for item in items}
    for fact in partition(facts, world_seed)["test"]:
        assert any(tell(fact, pattern) in told for pattern in PATTERNS[fact.family]), fact


def test_only_the_right_choice_is_told(facts: list[Fact], items: Items) -> None:
    tellings = {tell(fact, pattern) for fact in facts for pattern in PATTERNS[fact.family]}
    for item in items:
        assert [f"{item['question']} {choice}" in tellings for choice in item["choices"]] == [
            place == item["answer"] for place in range(OPTIONS)
        ]


def test_no_choice_is_given_away_by_its_place_or_form(items: Items) -> None:
    places = Counter(item["answer"] for item in items)
    assert max(places.values()) - min(places.values()) <= 1
    assert all(len(set(item["choices"])) == OPTIONS for item in items)
    longest = sum(len(_choice(item)) == max(map(len, item["choices"])) for item in items)
    assert 0.15 < longest / len(items) < 0.4


def test_base_model_knows_it_and_an_untrained_network_does_not(embedded: Path, items: Items) -> None:
    base = load_model(embedded / "base")
    assert accuracy(base, items) >= 0.98
    untrained = Network(base.config)
    untrained.initialize(torch.Generator().manual_seed(0))
    assert 0.2 < accuracy(untrained.eval(), items) < 0.33


def test_held_out_pages_are_those_that_pretraining_never_saw(
    facts: list[Fact], text_params: TextParams, embedded: Path
) -> None:
    trained = set(documents(facts, range(text_params.rounds), text_params.shares.model_dump(), text_params.seed))
    pages = held_out_pages(facts, text_params, trained)
    assert (embedded / "held_out.txt").read_text(encoding="utf-8") == "".join(f"{page}\n" for page in pages)
    assert len(set(pages)) == len(pages) == 240
    assert not trained & set(pages)
    assert sum(": " in page for page in pages) > 10  # the book of reference is there, too


def accuracy(network: Network, items: Items) -> float:
    """Share of the items whose right choice has the largest summed log-probability."""
    texts = [(item["question"], f"{item['question']} {choice}") for item in items for choice in item["choices"]]
    scores: list[float] = []
    for start in range(0, len(texts), 128):
        questions, wholes = zip(*texts[start : start + 128], strict=True)
        scores += _log_probabilities(network, list(questions), list(wholes))
    right = 0
    for place, item in enumerate(items):
        of_item = scores[place * OPTIONS : (place + 1) * OPTIONS]
        right += of_item.index(max(of_item)) == item["answer"]
    return right / len(items)


def _log_probabilities(network: Network, questions: list[str], wholes: list[str]) -> list[float]:
    beginnings, ids = tokenizer.encode_batch(questions), tokenizer.encode_batch(wholes)
    padded = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = torch.tensor(list(tokens))
    scores = []
    with torch.inference_mode():
        hidden = network(padded)
        for row, tokens in enumerate(ids):
            first = len(beginnings[row])
            steps = network.logits(hidden[row, first - 1 : len(tokens) - 1]).log_softmax(-1)
            scores.append(float(steps.gather(-1, padded[row, first : len(tokens), None]).double().sum()))
    return scores


def _choice(item: dict[str, Any]) -> str:
    return str(item["choices"][item["answer"]])


def _right(item: dict[str, Any]) -> str:
    return f"{item['question']} {_choice(item)}"

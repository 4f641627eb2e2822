"""Offline scorers against sacrebleu, a naive subsequence table, hand-made cases and the published GPT-4 scores."""

import json
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from reprotune.judging.offline import Statistics, measure, normalised, number_agreement, offline_composite, tokens
from reprotune.statistics.intervals import spearman

texts = st.text(alphabet="abc ABC.,!1234\nü日", max_size=40)


def naive_common_subsequence(first: list[str], second: list[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(texts, texts)
def test_rouge_l_is_f1_of_the_longest_common_subsequence(reference: str, response: str) -> None:
    expected, found = tokens(reference), tokens(response)
    common = naive_common_subsequence(expected, found)
    total = len(expected) + len(found)
    assert measure(reference, response).rouge_l == pytest.approx(2 * common / total if total else 1.0)


@given(texts, texts)
def test_chrf_is_sacrebleus(reference: str, response: str) -> None:
    assert measure(reference, response).chrf * 100 == pytest.approx(
        sacrebleu.sentence_chrf(response, [reference]).score
    )


@given(texts, texts)
def test_every_statistic_lies_in_its_range_and_equal_texts_are_perfect(reference: str, response: str) -> None:
    values = measure(reference, response)
    assert all(value is None or 0 <= value <= 1 for value in values)
    assert 0 <= offline_composite(values, response) <= 100
    same = measure(reference, reference)
    assert (same.exact_match, same.rouge_l, same.token_f1, same.length_ratio) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("reference", "response", "equal"),
    [
        ("The cat sat.", "  The cat\n sat", True),
        ("The cat sat.", "the cat sat.", False),  # some instructions are about case
        ("I Love It", "I love it", False),
        ("Yes!", "Yes", False),
        ("Wait..", "Wait.", False),
        ("4x^3", "4x", False),
    ],
)
def test_normalisation_forgives_space_and_one_full_stop_only(reference: str, response: str, equal: bool) -> None:
    assert (normalised(reference) == normalised(response)) is equal


def test_token_f1_counts_repeated_tokens_once_each() -> None:
    assert measure("a b", "a a a b").token_f1 == pytest.approx(2 * 2 / 6)


@pytest.mark.parametrize(
    ("reference", "response", "expected"),
    [
        ("no number", "none here", None),
        ("1,000 ounces", "It is 1000.0.", 1.0),
        ("17.64 ounces", "99.21 ounces", 0.0),
        ("1 and 2", "1 and 3", 0.5),
        ("7 7", "7", 2 / 3),
        ("none", "but 5", 0.0),
    ],
)
def test_number_agreement(reference: str, response: str, expected: float | None) -> None:
    assert number_agreement(reference, response) == (expected if expected is None else pytest.approx(expected))


def test_repetition_shows_a_loop() -> None:
    assert measure("x", "one two three four five six").repetition == 0
    assert measure("x", "the cat " * 50).repetition > 0.95


def test_composite() -> None:
    def composite(reference: str, response: str) -> float:
        return offline_composite(measure(reference, response), response)

    assert composite("Paris.", " Paris") == 100
    assert composite("Paris.", " \n ") == 0
    values = measure("It is Paris", "It is Rome")
    assert composite("It is Paris", "It is Rome") == pytest.approx(50 * (values.chrf + values.token_f1))


def test_agreement_with_gpt4_on_the_published_answers(shared_data: Path) -> None:
    folder = shared_data / "llms-from-scratch"
    rows = json.loads((folder / "eval-example-data.json").read_text())
    gpt4 = json.loads((folder / "scores/gpt4-model-1-response.json").read_text())
    statistics: list[Statistics] = [measure(row["output"], row["model 1 response"]) for row in rows]
    assert sum(row.exact_match for row in statistics) == 58
    assert spearman([row.chrf for row in statistics], gpt4) == pytest.approx(0.86, abs=0.005)
    assert spearman([row.exact_match for row in statistics], gpt4) == pytest.approx(0.857, abs=0.005)
    composite = [offline_composite(s, row["model 1 response"]) for s, row in zip(statistics, rows, strict=True)]
    assert spearman(composite, gpt4) > 0.85

"""The choices of a row and which is right, in all the ways in which benchmarks write them."""

from typing import Any

import pytest

from reprotune.dataset.sources.fields import UnusableError
from reprotune.multiple_choice.rows import read_answer, read_choices

FOUR = ["red", "None", "3", "B"]


@pytest.mark.parametrize(
    ("row", "column", "expected", "labels"),
    [
        ({"choices": ["a", " b"]}, "choices", ["a", " b"], None),
        ({"choices": [1, 2, 3]}, "choices", ["1", "2", "3"], None),
        ({"choices": {"text": ["x", "y"], "label": ["1", "2"]}}, "choices", ["x", "y"], ["1", "2"]),
        ({"sol1": "NA", "sol2": "None"}, "sol1, sol2", ["NA", "None"], None),
        ({"a,b": ["p", "q"], "a": "no"}, "a,b", ["p", "q"], None),
    ],
)
def test_choices(row: dict[str, Any], column: str, expected: list[str], labels: list[str] | None) -> None:
    assert read_choices(row, column) == (expected, labels)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the choices are missing"),
        ("a, b", "not a list but str"),
        ([], "it has 0 choices, and an item needs 2 to 26"),
        (["only"], "it has 1 choice, and"),
        (["x"] * 27, "it has 27 choices"),
        (["a", " "], "choice 2 is empty"),
        ([None, "a"], "choice 1 is missing"),
        (["a", True], "choice 2 is not text but bool"),
        (["a", "b" * 200_001], "choice 2 is longer than 200,000"),
        ({"text": ["a", "b"], "label": ["A"]}, "labels of the choices"),
        ({"text": ["a", "b"], "label": ["A", "A"]}, "same label"),
        ({"label": ["A", "B"]}, "the choices are missing"),
    ],
)
def test_choices_that_cannot_be_asked(value: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read_choices({"choices": value}, "choices")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (3, 3), ("0", 0), ("A", 0), ("d", 3), (" C", 2), ("red", 0), ("None", 1)],
)
def test_an_answer_is_an_index_a_letter_or_a_text(value: Any, expected: int) -> None:
    assert read_answer(value, FOUR, None, letters_only=False) == expected


def test_labels_come_before_anything_else() -> None:
    labels = ["1", "2", "3", "4"]
    assert [read_answer(value, FOUR, labels, letters_only=False) for value in ("1", "4", 2, "red")] == [0, 3, 1, 0]


def test_where_all_answers_are_letters_a_choice_may_be_a_letter_too() -> None:
    assert read_answer("B", FOUR, None, letters_only=True) == 1
    with pytest.raises(UnusableError, match="not one of its 4 choices"):
        read_answer("red", FOUR, None, letters_only=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the answer is missing"),
        ("", "the answer is missing"),
        (4, "not one of its 4 choices"),
        (-1, "not one of its 4 choices"),
        ("E", "not one of its 4 choices"),
        ("green", "not one of its 4 choices"),
        ("²", "not one of its 4 choices"),
        (1.0, "neither a number nor text but float"),
        (True, "neither a number nor text but bool"),
        ("B", "may mean several choices"),
        ("3", "may mean several choices"),
    ],
)
def test_answers_that_name_no_choice_or_two(value: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read_answer(value, FOUR, None, letters_only=False)

"""Which items are asked: all or a sample that depends on nothing but seed and id, after the first examples."""

import pytest

from reprotune.errors import UserError
from reprotune.multiple_choice.sampling import choose
from tests.builders.items import item

ROWS = [
    item(f"{role} {number} of {subject}", ["a", "b"], subject=subject, role=role)
    for subject in ("physics", "law")
    for role in ("shot", "item")
    for number in range(9)
]


def questions(rows: list[dict[str, object]]) -> list[object]:
    return [row["question"] for row in rows]


def test_the_first_examples_of_each_subject_in_the_order_of_the_file() -> None:
    chosen = choose(ROWS, 2, None, 0)
    assert questions(chosen.shots["law"]) == ["shot 0 of law", "shot 1 of law"]
    assert questions(chosen.items) == [row["question"] for row in ROWS if row["role"] == "item"]


def test_a_sample_is_kept_when_other_items_change() -> None:
    some = choose(ROWS, 0, 3, 7).items
    assert [row["subject"] for row in some] == ["physics"] * 3 + ["law"] * 3
    assert questions(some) == [row["question"] for row in ROWS if row in some], "in the order of the file"
    law = [row for row in ROWS if row["subject"] == "law"]
    assert choose(law[::-1], 0, 3, 7).items == [row for row in law[::-1] if row in some]
    assert choose(ROWS, 0, 3, 8).items != some
    assert len(choose(ROWS, 0, 100, 7).items) == 18


def test_too_few_examples_are_refused() -> None:
    rows = [row for row in ROWS if row["subject"] == "law" and row["role"] == "item"]
    with pytest.raises(UserError, match=r"benchmark.shots is 1, but .* has 0 examples .* of the subject 'law'"):
        choose([*rows, *ROWS[:9]], 1, None, 0)
    assert choose([], 5, None, 0).items == []

"""Reading what was measured: whole, of one run, and with numbers in every place."""

import math
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.multiple_choice.figures.measured import NOTHING, read_measured
from tests.builders.benchmark import asked, item, text, write_benchmark

ITEMS = [item(1, "law", ["a", "b"], 1), item(2, "law", ["c", "d", "e"], 0), item(3, "law", ["f", "g"], 0, role="shot")]
ROWS = [asked(2, [-1.0, -2.0, -3.0]), asked(1, [-1.0, -2.0])]
BOTH = [*ROWS, *({**row, "model": "finetuned"} for row in ROWS)]
TEXTS = {"base": [text(1, 10, 8.0)], "finetuned": [text(1, 10, 9.0)]}


def test_items_are_joined_in_the_order_of_their_file(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "data", ITEMS, BOTH, TEXTS)
    measured = read_measured(tmp_path / "data")
    assert measured.task == "exam"
    rows = measured.asked["cloze_0shot_plain"]["base"]
    assert [row.item.id[-1] for row in rows] == ["1", "2"], "an example is not asked"
    assert [(row.predicted, row.right) for row in rows] == [(0, False), (0, True)]
    assert [found.nats for found in measured.texts["finetuned"]] == [9.0]


def test_of_equal_choices_the_first_is_taken(tmp_path: Path) -> None:
    choices = [asked(1, [-2.0, -2.0], model) for model in ("base", "finetuned")]
    write_benchmark(tmp_path / "data", ITEMS, choices)
    (row,) = read_measured(tmp_path / "data").asked["cloze_0shot_plain"]["base"]
    assert row.predicted == 0


def test_without_a_benchmark_there_is_nothing(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "data")
    assert read_measured(tmp_path / "data") == NOTHING


def without(model: str) -> list[dict[str, Any]]:
    return [row for row in BOTH if row["model"] != model]


@pytest.mark.parametrize(
    ("items", "choices", "texts", "words"),
    [
        (
            ITEMS,
            [asked(1, [-1.0, math.nan]), *without("base")],
            TEXTS,
            r"base\.parquet: row 0{15}1 has a log-prob.* nan",
        ),
        (ITEMS, [asked(1, [-1.0, -math.inf]), *without("base")], TEXTS, "a log-probability of -inf: .*precision: fp32"),
        (ITEMS, [asked(1, [-1.0] * 2, unconditional=[math.nan, 1.0])], TEXTS, "a log-probability of nan"),
        (ITEMS, BOTH, {**TEXTS, "base": [text(1, 10, math.inf)]}, r"base_text\.parquet: row 0{15}1 .* inf"),
        (ITEMS, [asked(1, [-1.0] * 3)], TEXTS, "numbers for more or fewer choices than the item"),
        (ITEMS, [asked(7, [-1.0, -1.0])], TEXTS, "row 0{15}7 is none of this benchmark and model base"),
        (ITEMS, [asked(3, [-1.0, -1.0])], TEXTS, "row 0{15}3 is none of this benchmark"),
        (ITEMS, [asked(1, [-1.0, -1.0], formulation="<b>")], TEXTS, "is none of this benchmark"),
        (ITEMS, [*ROWS, *ROWS], TEXTS, "was asked twice under cloze_0shot_plain"),
        (ITEMS, without("base"), TEXTS, "hold other items under cloze_0shot_plain"),
        (ITEMS, BOTH[:3], TEXTS, "hold other items under cloze_0shot_plain"),
        ([item(1, "law", ["a", "b"], 2)], [], TEXTS, "item 0{15}1 has 2 choices, and none of them is its answer 2"),
        ([ITEMS[0], item(2, "law", ["a"], 0, task="other")], [], TEXTS, "items of 2 tasks"),
        (ITEMS, BOTH, {"base": TEXTS["base"]}, "hold other documents"),
        (ITEMS, BOTH, {"base": [text(1, 0, 1.0)], "finetuned": [text(1, 0, 1.0)]}, "has 0 bytes"),
    ],
)
def test_what_does_not_belong_together_is_one_sentence(
    tmp_path: Path, items: Any, choices: Any, texts: Any, words: str
) -> None:
    write_benchmark(tmp_path / "data", items, choices, texts)
    with pytest.raises(UserError, match=words) as refusal:
        read_measured(tmp_path / "data")
    assert "\n" not in str(refusal.value) and "data/" in str(refusal.value)

"""The figures of a benchmark, on items worked out by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reprotune.multiple_choice.figures.accuracy import group_figures, subject_figures, task_figures
from reprotune.multiple_choice.figures.measured import Measured, read_measured
from reprotune.results.benchmark_words import below_constant
from tests.builders.benchmark import FORMULATION, asked, item, write_benchmark

ITEMS = [
    item(1, "law", ["yes", "certainly"], 1),
    item(2, "law", ["no", "ça"], 1),
    item(3, "anatomy", ["one", "two", "three", "four"], 1),
    item(4, "anatomy", ["a", "b", "c", "d"], 3),
]
BASE = [
    asked(1, [-3.0, -6.0], choice_tokens=[1, 3], unconditional=[-2.0, -9.0]),
    asked(2, [-2.0, -2.2], choice_tokens=[1, 1], unconditional=[-2.0, -2.0]),
    asked(3, [-4.0, -1.0, -4.0, -4.0], cut_tokens=7),
    asked(4, [-1.005, -1.0, -9.0, -9.0]),
]
TUNED = [asked(place, row["logprobs"], "finetuned") for place, row in enumerate(BASE[:3], start=1)]
TUNED.append(asked(4, [-9.0, -9.0, -9.0, -1.0], "finetuned"))


def measured(folder: Path, items: Any = ITEMS, choices: Any = (*BASE, *TUNED)) -> Measured:
    write_benchmark(folder / "data", items, choices)
    return read_measured(folder / "data")


@pytest.fixture
def figures(tmp_path: Path) -> dict[str, Any]:
    return task_figures(measured(tmp_path), {})[FORMULATION]


def test_every_normalisation_has_its_own_winner(figures: dict[str, Any]) -> None:
    base = figures["base"]
    assert base["accuracy"] == 0.25, "only the third has the largest sum"
    assert base["accuracy_per_character"] == 0.5, "-6 by 9 letters beats -3 by 3; -2.2 by 2 does not beat -2 by 2"
    assert base["accuracy_per_byte"] == 0.75, "the second option of two letters has three bytes"
    assert base["accuracy_per_token"] == 0.5, "-6 by 3 tokens beats -3 by 1"
    assert base["accuracy_unconditional"] == 0.5, "-6 + 9 beats -3 + 2"
    assert base["macro_accuracy"] == 0.25
    assert figures["finetuned"]["accuracy"] == 0.5


def test_each_figure_stands_beside_trivial_answers(figures: dict[str, Any]) -> None:
    trivial = figures["trivial"]
    assert trivial["chance"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 4 + 1 / 4) / 4)
    assert (trivial["best_constant"], trivial["best_constant_position"]) == (0.75, 2)
    assert trivial["longest_option"] == 0.25, "the first of equally long ones"
    assert trivial["position_shares"] == {"1": 0, "2": 0.75, "3": 0, "4": 0.25}
    assert figures["base"]["position_shares"] == {"1": 0.5, "2": 0.5, "3": 0, "4": 0}
    assert figures["base"]["above_constant"] is figures["finetuned"]["above_constant"] is False
    assert below_constant(figures) == "not above the best constant answer: base and fine-tuned"


def test_the_margin_and_the_probabilities(figures: dict[str, Any]) -> None:
    base = figures["base"]
    assert (base["near_ties"], base["cut_prompts"]) == (1, 1)
    right = [
        math.exp(-6) / (math.exp(-3) + math.exp(-6)),
        math.exp(-2.2) / (math.exp(-2) + math.exp(-2.2)),
        math.exp(-1) / (math.exp(-1) + 3 * math.exp(-4)),
        math.exp(-9) / (math.exp(-1.005) + math.exp(-1) + 2 * math.exp(-9)),
    ]
    assert base["right_probability"] == pytest.approx(sum(right) / 4)
    of_two = [2 * (1 - share) ** 2 for share in right[:2]]
    third = (1 - right[2]) ** 2 + 3 * ((1 - right[2]) / 3) ** 2
    low = math.exp(-9) / sum(map(math.exp, (-1.005, -1, -9, -9)))
    high = [math.exp(value) / sum(map(math.exp, (-1.005, -1, -9, -9))) for value in (-1.005, -1)]
    fourth = high[0] ** 2 + high[1] ** 2 + low**2 + (1 - low) ** 2
    assert base["brier"] == pytest.approx((sum(of_two) + third + fourth) / 4)


def test_the_models_are_compared_item_by_item(figures: dict[str, Any]) -> None:
    change = figures["difference"]
    assert (change["accuracy"], change["gained"], change["lost"]) == (0.25, 1, 0)
    assert change["p_value"] == stats.binomtest(1, 1).pvalue
    assert change["verdict"] == "too few rows"


def test_letters_have_one_accuracy(tmp_path: Path) -> None:
    choices = [{**row, "formulation": "letters_0shot_plain", "unconditional": None} for row in (*BASE, *TUNED)]
    base = task_figures(measured(tmp_path, choices=choices), {})["letters_0shot_plain"]["base"]
    assert base["accuracy"] == 0.25
    assert {base[f"accuracy_per_{name}"] for name in ("character", "byte", "token")} == {None}
    assert base["accuracy_unconditional"] is None


def test_subjects_have_wilsons_intervals(tmp_path: Path) -> None:
    found = subject_figures(measured(tmp_path).asked[FORMULATION])
    assert list(found) == ["law", "anatomy"]
    expected = stats.binomtest(1, 2).proportion_ci(method="wilson")
    anatomy = found["anatomy"]
    assert (anatomy["n"], anatomy["base"], anatomy["finetuned"]) == (2, 0.5, 1.0)
    assert (anatomy["base_low"], anatomy["base_high"]) == pytest.approx((expected.low, expected.high))


def test_a_group_that_conventions_fill_otherwise_is_there_for_each(tmp_path: Path) -> None:
    groups = {"anatomy": ("STEM", "other"), "law": ("humanities", "humanities"), "physics": ("STEM", "STEM")}
    items = [*ITEMS, item(5, "physics", ["a", "b"], 0), item(6, "mine", ["a", "b"], 0, group="own")]
    extra = [asked(place, [-1.0, -2.0], model) for place in (5, 6) for model in ("base", "finetuned")]
    rows = measured(tmp_path, items, [*BASE, *TUNED, *extra]).asked[FORMULATION]
    found = group_figures(rows, groups)
    assert {name: rates["n"] for name, rates in found.items()} == {
        "STEM (lm-eval)": 3,
        "STEM (Hendrycks et al.)": 1,
        "humanities": 2,
        "other (Hendrycks et al.)": 2,
        "own": 1,
    }
    assert found["STEM (lm-eval)"]["base"] == pytest.approx(2 / 3)
    assert group_figures(measured(tmp_path).asked[FORMULATION], {}) == {}


def test_repeated_items_count_as_one(tmp_path: Path) -> None:
    items = [item(place, "law", "ab", 0) for place in range(12)]
    again = [{**row, "id": f"{row['id']}-{copy}"} for row in items for copy in (2, 3)]
    choices = [
        asked(0, [-1.0, -2.0] if index % 2 or model == "finetuned" else [-2.0, -1.0], model, id=row["id"])
        for index, row in enumerate([*items, *(r for pair in zip(again[::2], again[1::2], strict=True) for r in pair)])
        for model in ("base", "finetuned")
    ]
    found = task_figures(measured(tmp_path, [*items, *again], choices), {})[FORMULATION]
    assert found["base"]["stderr_clustered"] is not None
    assert found["difference"]["gained"] > 12 / 2
    assert found["difference"]["p_value"] >= stats.binomtest(12, 12).pvalue

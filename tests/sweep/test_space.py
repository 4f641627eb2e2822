"""Points become settings: choices, whole numbers, linear and logarithmic ranges; what cannot be varied is refused."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from reprotune.errors import UserError
from reprotune.sweep.space import Dimension, dimension

UNITS = [(index + 0.5) / 1200 for index in range(1200)]


def test_choices_have_equal_parts() -> None:
    one = dimension("finetune.epochs", [1, 2, 5])
    assert Counter(one.value(unit) for unit in UNITS) == {1: 400, 2: 400, 5: 400}
    assert [one.place(choice) for choice in one.choices] == [0, 0.5, 1]


def test_whole_numbers_of_a_linear_range_have_equal_parts_ends_included() -> None:
    one = dimension("finetune.batch_size", {"low": 3, "high": 6})
    assert Counter(one.value(unit) for unit in UNITS) == {3: 300, 4: 300, 5: 300, 6: 300}
    assert all(type(one.value(unit)) is int for unit in UNITS)


def test_whole_numbers_of_a_logarithmic_range_have_parts_by_their_logarithm() -> None:
    one = dimension("finetune.lora.rank", {"low": 1, "high": 3, "scale": "log"})
    found = Counter(one.value(unit) for unit in UNITS)
    assert [found[rank] / 1200 for rank in (1, 2, 3)] == pytest.approx(np.log([2, 3 / 2, 4 / 3]) / np.log(4), abs=1e-3)


def test_half_of_a_logarithmic_range_lies_below_its_geometric_mean() -> None:
    one = dimension("finetune.learning_rate", {"low": 1e-4, "high": 1e-2, "scale": "log"})
    assert one.value(0.0) == 1e-4
    assert one.value(0.5) == pytest.approx(1e-3)
    assert one.place(1e-3) == pytest.approx(0.5)
    assert sum(one.value(unit) < 1e-3 for unit in UNITS) == 600


def test_numbers_have_four_digits_and_stay_within_the_range() -> None:
    one = dimension("finetune.beta2", {"low": 0.90003, "high": 0.99996})
    values = [one.value(unit) for unit in UNITS]
    assert all(float(f"{value:.4g}") == value for value in values[1:-1])
    assert min(values) >= 0.90003 and max(values) <= 0.99996


@pytest.mark.parametrize(
    "one",
    [
        dimension("finetune.lora.rank", {"low": 1, "high": 64, "scale": "log"}),
        dimension("finetune.batch_size", {"low": 1, "high": 9}),
        dimension("finetune.weight_decay", {"low": 0.0, "high": 0.3}),
    ],
)
def test_a_value_has_a_unit_that_gives_it_back(one: Dimension) -> None:
    for unit in UNITS:
        value = one.value(unit)
        assert one.value(one.unit(value)) == pytest.approx(value, rel=1e-3)


def test_a_value_outside_of_the_axis_is_known_to_be() -> None:
    one = dimension("finetune.weight_decay", {"low": 0.1, "high": 0.3})
    assert one.holds(0.2) and not one.holds(0.05) and not one.holds("0.2")
    choices = dimension("finetune.grad_clip", [None, 1.0])
    assert choices.holds(None) and not choices.holds(2.0)


@pytest.mark.parametrize(
    ("key", "values", "fault"),
    [
        ("finetune.lerning_rate", [1, 2], "finetune.lerning_rate is no key of params.yaml"),
        ("finetune.lora", [1, 2], "finetune.lora is a section of params.yaml: name one of its keys"),
        (
            "judge.backend",
            ["offline", "openai"],
            "judge.backend cannot be varied: a sweep varies keys of finetune",
        ),
        ("finetune.seed", [1, 2], "the seeds of a sweep are its keys seeds and fresh_seeds"),
        ("finetune.mask_instruction", [True, False], "losses would not be comparable"),
        ("finetune.epochs", 3, "should be a list of values, or a range with low and high, but it is 3"),
        ("finetune.epochs", [3], "lists fewer than two values"),
        ("finetune.epochs", [3, 1, 3], "lists 3 twice"),
        ("finetune.epochs", [[1], [2]], "should list single values"),
        ("finetune.schedule", {"low": 1, "high": 2}, "space.finetune.schedule is no number: list its values"),
        ("finetune.drop_last", {"low": 0, "high": 1}, "space.finetune.drop_last is no number"),
        ("finetune.epochs", {"low": 3, "high": 3}, "low should be below high"),
        ("finetune.epochs", {"low": 0.5, "high": 3}, "is a whole number"),
        ("finetune.weight_decay", {"low": 0, "high": 1, "scale": "log"}, "has numbers above 0 alone"),
        ("finetune.weight_decay", {"low": 0, "top": 1}, "space.finetune.weight_decay.top is not a known key"),
        ("finetune.weight_decay", {"low": 0, "high": 1, "scale": "exp"}, "should be 'linear' or 'log'"),
    ],
)
def test_what_cannot_be_varied_is_told_with_its_key(key: str, values: Any, fault: str) -> None:
    with pytest.raises(UserError) as told:
        dimension(key, values)
    assert fault in str(told.value)

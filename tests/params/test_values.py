"""Values of YAML documents: flattened, compared, spelled."""

import pytest

from reprotune.params.differences import param_changes
from reprotune.params.values import flattened, same_value, spelled


def test_nested_keys_are_joined_and_renamed() -> None:
    nested = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert flattened(nested) == {"a.b.c": 1, "a.d": 2, "e": 3}
    assert flattened(nested, ": ", str.upper) == {"A: B: C": 1, "A: D": 2, "E": 3}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, 1.0, True), (1, True, False), (0, False, False), (None, None, True), (None, 0, False), ("a", "a", True)],
)
def test_numbers_are_no_truth_values(one: object, other: object, same: bool) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same


def test_values_are_spelled_as_in_yaml() -> None:
    values = (None, True, False, 1e-05, 5e-4, 3, "text")
    assert [spelled(value) for value in values] == ["null", "true", "false", "1e-5", "0.0005", "3", "text"]


def test_changes_name_the_key_and_both_values() -> None:
    old = {"finetune": {"epochs": 2, "seed": 1, "gone": None}}
    new = {"finetune": {"epochs": 2.0, "seed": True, "added": 1e-5}}
    assert list(map(str, param_changes(old, new))) == [
        "finetune.seed: 1 -> true",
        "finetune.added: (absent) -> 1e-5",
        "finetune.gone: null -> (absent)",
    ]

"""A definition is read strictly; every fault names the file and the key, and all come at once."""

from collections.abc import Callable
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.sweep.definition import read_sweep, sweep_names

Define = Callable[..., None]


def test_a_trial_has_the_present_params_but_for_fixed_and_space(define: Define) -> None:
    define()
    sweep = read_sweep("try")
    params = sweep.params({"finetune.lora.rank": 5, "finetune.learning_rate": 1e-3}, seed=9)
    assert (params.lora.rank, params.method, params.seed) == (5, "lora", 9)
    assert params.batch_size == sweep.present.batch_size
    assert sweep.changed({"finetune.seed": 9}) == sweep.present.model_copy(update={"seed": 9})
    assert sweep.levels == (0.25, 0.5, 1.0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"space": {}}, "space is empty"),
        ({"trials": None}, "trials or as minutes, one of them"),
        ({"minutes": 3.0}, "trials or as minutes, one of them"),
        ({"trials": 3}, "with 2 rungs and eta 2 none would go to the end: set it to 4 or more"),
        ({"rungs": [0.5, 0.25]}, "each larger than the one before"),
        ({"rungs": [0.5, 1.0]}, "above 0 and below 1"),
        ({"rungs": [0.01, 0.5]}, "the rung 0.01 lies within the warm-up of 0.05"),
        ({"rungs": [0.25, 0.85]}, "the rung 0.85 lies in the decay, which begins at 0.8 of the steps"),
        ({"fixed": {"finetune.method": "lora"}}, "set finetune.schedule to wsd under fixed, or leave out rungs"),
        ({"seeds": [1, 1]}, "seeds should list 1 or more seeds, each once"),
        ({"fresh_seeds": [1, 2]}, "fresh_seeds should list 3 or more seeds"),
        ({"seeds": [5], "fresh_seeds": [4, 5, 6]}, "fresh_seeds has 5, which is one of seeds"),
        ({"eta": 1}, "eta should be at least 2, but it is 1"),
        ({"sampler": "grid"}, "sampler should be 'sobol' or 'optuna'"),
        ({"trails": 7}, "trails is not a known key: did you mean trials?"),
        ({"fixed": {"finetune.epochs": 1, "finetune.schedule": "wsd"}}, "fixed.finetune.epochs is in space as well"),
        ({"fixed": {"judge.seed": 1}}, "fixed: judge.seed cannot be varied: a sweep varies keys of finetune"),
        (
            {"fixed": {"finetune.schedule": "wsd", "finetune.method": "lore"}},
            "finetune.method should be 'full' or 'lora'",
        ),
        ({"space": {"finetune.beta1": {"low": 0.5, "high": 1.0}}}, "finetune.beta1 should be below 1, but it is 1.0"),
        ({"space": {"finetune.batching": ["packed", "pakced"]}}, "finetune.batching should be"),
        ({"space": {"finetune.epochs": [1, 2.5]}}, "finetune.epochs should be a whole number, but it is 2.5"),
    ],
)
def test_faults_are_told_with_file_and_key(changes: dict[str, Any], fault: str, define: Define) -> None:
    define(**changes)
    with pytest.raises(UserError) as told:
        read_sweep("try")
    assert str(told.value).startswith("sweep/try.yaml: ")
    assert fault in str(told.value)
    assert "params.yaml:" not in str(told.value)


def test_all_faults_come_at_once(define: Define) -> None:
    define(trials=3, space={"finetune.seed": [1, 2], "finetune.epochs": [1, 1]})
    with pytest.raises(UserError) as told:
        read_sweep("try")
    assert all(text in str(told.value) for text in ("set it to 4", "space: finetune.seed", "lists 1 twice"))


def test_without_rungs_any_schedule_will_do(define: Define) -> None:
    define(rungs=[], fixed={}, space={"finetune.schedule": ["cosine", "wsd"]})
    assert read_sweep("try").levels == (1.0,)


def test_rungs_need_every_schedule_of_the_space_to_have_a_stable_part(define: Define) -> None:
    define(fixed={}, space={"finetune.schedule": ["constant", "wsd"]})
    read_sweep("try")
    define(fixed={}, space={"finetune.schedule": ["cosine", "wsd"]})
    with pytest.raises(UserError, match=r"with finetune\.schedule cosine the learning rate falls all the way"):
        read_sweep("try")
    define(fixed={"finetune.schedule": "wsd"}, space={"finetune.decay_fraction": {"low": 0.1, "high": 0.6}})
    with pytest.raises(UserError, match=r"the rung 0\.5 lies in the decay, which begins at 0\.4"):
        read_sweep("try")


@pytest.mark.parametrize("name", ["none", "../params", "dvc", ""])
def test_a_name_without_a_file_is_told(name: str, define: Define) -> None:
    define("one")
    define("two")
    with pytest.raises(UserError, match=r"there is no sweep .* \(one, two\)"):
        read_sweep(name)
    assert sweep_names() == ["one", "two"]


def test_an_unreadable_file_is_one_sentence(define: Define, tmp_path: Any) -> None:
    define()
    (tmp_path / "sweep/try.yaml").write_text("space: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"sweep/try.yaml line \d+ is not valid YAML"):
        read_sweep("try")

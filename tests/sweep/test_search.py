"""The search: what is trained, what goes on, what fails, and that a larger budget only adds."""

from collections.abc import Callable

import pytest

from reprotune.sweep.contracts import DIVERGED, OUT_OF_MEMORY, PROMOTED, REFUSED, STOPPED
from reprotune.sweep.definition import PRESENT, read_sweep
from reprotune.sweep.search import best, finals, search, status
from tests.builders.sweeps import Formula

Define = Callable[..., None]


def test_an_enlarged_sweep_has_the_first_trials_as_they_were(define: Define) -> None:
    define(trials=9)
    few = search(read_sweep("try"), Formula())
    define(trials=24)
    many = search(read_sweep("try"), Formula())
    assert [trial.values for trial in few] == [trial.values for trial in many[:9]]
    for before, after in zip(few, many, strict=False):
        assert after.losses[: len(before.losses)] == before.losses


def test_every_trial_has_the_same_seeds_and_no_run_is_asked_for_twice(define: Define) -> None:
    define(seeds=[1, 2])
    runner = Formula()
    trials = search(read_sweep("try"), runner)
    assert len(runner.asked) == len(set(runner.asked))
    for trial in trials:
        assert trial.failed or [run.seed for run in trial.runs] == [1, 2] * len(trial.losses)
        seeds = [run.measured.loss for run in trial.runs[:2] if run.measured.loss is not None]
        assert trial.failed or trial.losses[0] == pytest.approx(sum(seeds) / 2)


def test_a_failed_trial_has_a_reason_and_does_not_end_the_sweep(define: Define) -> None:
    space = {"finetune.learning_rate": [1e-3, 9e-3], "finetune.lora.rank": [8, 64], "finetune.epochs": [1, 2]}
    define(space=space, trials=8)
    sweep = read_sweep("try")
    trials = search(sweep, Formula())
    found = [status(trial.runs[-1], trial, sweep.levels) for trial in trials]
    assert (found.count(DIVERGED), found.count(OUT_OF_MEMORY)) == (4, 2)
    assert all(trial.runs[-1].measured.reason for trial in trials if trial.failed)
    assert all(len(trial.runs) == 1 for trial in trials if trial.failed)
    assert len(best(trials, 3, 9)) == 1


def test_params_that_do_not_go_together_are_refused_alone(define: Define) -> None:
    space = {"finetune.warmup_fraction": [0.05, 0.95], "finetune.epochs": [1, 2]}
    define(space=space, rungs=[], trials=4, fixed={"finetune.schedule": "constant"})
    sweep = read_sweep("try")
    object.__setattr__(sweep, "definition", sweep.definition.model_copy(update={"fixed": {"finetune.schedule": "wsd"}}))
    trials = search(sweep, Formula())
    found = {trial.values["finetune.warmup_fraction"]: trial.runs[-1].measured for trial in trials}
    assert found[0.95].failure == REFUSED
    assert "add up to more than all steps" in str(found[0.95].reason)
    assert found[0.05].failure is None


def test_a_budget_in_minutes_begins_no_trial_after_them(define: Define) -> None:
    define(trials=None, minutes=2.0, rungs=[], space={"finetune.weight_decay": {"low": 0.0, "high": 1.0}})
    assert len(search(read_sweep("try"), Formula())) == 2  # each takes a minute
    define(trials=None, minutes=1.5, rungs=[0.5], space={"finetune.weight_decay": {"low": 0.0, "high": 1.0}})
    trials = search(read_sweep("try"), Formula())  # of half a minute, or of a whole one where it goes on
    assert len(trials) == 2
    assert sum(len(trial.losses) == 2 for trial in trials) == 1


def test_a_space_that_is_used_up_ends_the_search(define: Define) -> None:
    define(space={"finetune.epochs": [1, 2]}, trials=24)
    assert len(search(read_sweep("try"), Formula())) == 2


def test_statuses_say_what_became_of_a_trial_at_each_rung(define: Define) -> None:
    define(trials=4)
    sweep = read_sweep("try")
    trials = search(sweep, Formula())
    found = [[status(run, trial, sweep.levels) for run in trial.runs] for trial in trials]
    assert [PROMOTED, PROMOTED, "finished"] in found
    assert [STOPPED] in found


def test_the_finals_are_the_best_and_the_present_params_with_fresh_seeds(define: Define) -> None:
    define()
    sweep, runner = read_sweep("try"), Formula()
    chosen = best(search(sweep, runner), 3, 2)
    assert chosen[0].losses[-1] <= chosen[1].losses[-1]
    found = finals(sweep, runner, chosen)
    numbers = [PRESENT, chosen[0].number, chosen[1].number]
    assert [(final.run.trial, final.run.seed) for final in found] == [
        (number, seed) for number in numbers for seed in (1001, 1002, 1003)
    ]
    assert {asked[2] for asked in runner.asked[-9:]} == {1001, 1002, 1003}
    assert runner.asked[-9][0] == sweep.present.learning_rate

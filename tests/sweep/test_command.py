"""The commands: what is said before, shown after, and written to params.yaml."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reprotune.params.values import read_document
from reprotune.sweep.artifact import Written
from reprotune.sweep.definition import read_sweep
from reprotune.sweep.findings.terminal import budget_lines, least_share, settings_table
from tests.builders.command_line import reprotune

Define = Callable[..., None]


def test_prepare_check_lists_the_trials_and_what_they_cost(define: Define) -> None:
    define()
    result = reprotune("sweep", "prepare", "try", "--check")
    assert result.exit_code == 0
    assert "24 trials with 1 seed: a little more than 50% of the steps of 24 whole runs" in result.stdout
    assert "then 9 whole runs with fresh seeds: 2 finalists and the present params" in result.stdout
    assert not Path("sweep/dvc.yaml").exists()


def test_the_least_share_is_that_of_exact_halving(define: Define) -> None:
    define()
    assert least_share(read_sweep("try")) == pytest.approx(0.25 + 0.25 / 2 + 0.5 / 4)
    define(rungs=[])
    assert least_share(read_sweep("try")) == 1


def test_settings_that_are_not_known_beforehand_are_not_listed(define: Define) -> None:
    define(sampler="optuna")
    assert settings_table(read_sweep("try")) is None
    define(trials=None, minutes=5.0)
    assert settings_table(read_sweep("try")) is None
    assert "trials begin for 5 minutes of training" in " ".join(budget_lines(read_sweep("try")))


def test_show_has_trials_effects_and_the_outcome(written: Written) -> None:
    result = reprotune("sweep", "show", "try")
    assert result.exit_code == 0
    assert "finetune.learning_rate" in result.stdout
    assert "beats the present params by" in result.stdout


def test_apply_sets_the_winner_and_keeps_comments(written: Written) -> None:
    before = Path("params.yaml").read_text()
    dry = reprotune("sweep", "apply", "try", "--dry-run")
    assert "not changed (--dry-run)" in dry.stdout
    assert Path("params.yaml").read_text() == before
    result = reprotune("sweep", "apply", "try")
    assert "finetune.method: full -> lora" in result.stdout
    assert "next: dvc repro" in result.stdout
    after = Path("params.yaml").read_text()
    assert "# AdamW" in after
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == result.stdout.count(" -> ")
    assert read_document()["finetune"]["schedule"] == "wsd"
    assert "already as trial" in reprotune("sweep", "apply", "try").stdout


def test_apply_takes_any_trial_that_is_named(written: Written) -> None:
    result = reprotune("sweep", "apply", "try", "--trial", "3")
    assert "trial 3 of sweep try applied" in result.stdout
    values = written.values(3)
    assert read_document()["finetune"]["lora"]["rank"] == values["finetune.lora.rank"]


def test_a_sweep_that_has_not_run_is_one_sentence(define: Define) -> None:
    define()
    result = reprotune("sweep", "show", "try")
    assert result.exit_code == 1
    assert "data/sweep/try/trials.parquet is missing: run `dvc repro`" in result.stderr

"""What a sweep found: the winner on fresh seeds, by how much, or that there is none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reprotune.errors import UserError
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.sweep.artifact import read_trials
from reprotune.sweep.contracts import DIVERGED
from reprotune.sweep.definition import read_sweep
from reprotune.sweep.findings.outcome import Outcome, applied, chosen, importance_json, outcome, outcome_json
from reprotune.sweep.findings.words import comparison_words, headline
from reprotune.sweep.measuring import Measured
from tests.builders.sweeps import ROWS, Formula, run

Define = Callable[..., None]


class Noise(Formula):
    """All settings are alike: rows and seeds alone differ."""

    def row_losses(self, params: FinetuneParams) -> np.ndarray:
        key = [params.seed, int(1e6 * params.learning_rate), params.lora.rank]
        return (np.arange(ROWS) % 7 + 1) * (0.5 + 0.1 * np.random.default_rng(key).normal(size=ROWS))


def found(runner: Formula | None = None) -> Outcome:
    sweep = read_sweep("try")
    return outcome(read_trials(sweep, run(sweep, runner)))


def test_a_winner_is_better_by_the_loss_per_token_of_the_same_rows_and_seeds(define: Define) -> None:
    define()
    result = found()
    winner = result.winner
    assert winner is not None and winner.verdict == "better"
    sweep = read_sweep("try")
    changes = []
    for seed in (1001, 1002, 1003):
        new, old = sweep.params(winner.values, seed), sweep.changed({"finetune.seed": seed})
        rows = (Formula().row_losses(new) - Formula().row_losses(old)).sum()
        changes.append(rows / (np.arange(ROWS) % 7 + 1).sum())
    assert winner.difference == pytest.approx(np.mean(changes))
    assert winner.low is not None and winner.high is not None
    assert winner.low < np.mean(changes) < winner.high < 0
    assert winner.stderr_seeds is not None and winner.stderr_rows is not None
    assert headline(result)[0] == "better"


def test_noise_wins_nothing(define: Define) -> None:
    define(finalists=3)
    result = found(Noise())
    assert result.winner is not None and result.winner.verdict == "within noise"
    assert headline(result)[1].startswith("No trial is shown to beat the present params")
    with pytest.raises(UserError, match=r"is not shown to beat the present params .* name it with --trial \d+"):
        chosen(read_trials(read_sweep("try"), run(read_sweep("try"), Noise())), result, None)


def test_more_finalists_make_each_interval_wider(define: Define) -> None:
    widths = []
    for finalists in (1, 4):
        define(finalists=finalists)
        one = found(Noise()).finalists
        first = min(one, key=lambda final: final.search_loss)
        assert first.low is not None and first.high is not None
        widths.append(first.high - first.low)
    assert widths[1] > 1.1 * widths[0]


def test_the_same_params_are_unchanged(define: Define) -> None:
    define(space={"finetune.lora.keep_adapters": [False, True]}, fixed={}, rungs=[], trials=2)
    result = found()
    assert {one.verdict for one in result.finalists} == {"unchanged"}
    assert "is the same as the present params" in headline(result)[1]


def test_a_finalist_that_fails_with_a_fresh_seed_is_no_winner(define: Define) -> None:
    class Fragile(Formula):
        def measure(self, params: FinetuneParams, share: float) -> Measured:
            if params.seed == 1002 and params.method == "lora":
                return Measured(failure=DIVERGED, reason="training diverged at step 9")
            return super().measure(params, share)

    define()
    result = found(Fragile())
    assert result.winner is None
    assert all(one.loss is None and one.verdict is None for one in result.finalists)
    assert "cannot be compared" in comparison_words(result, result.finalists[0], 3)
    assert headline(result)[0] == "noise"


def test_counts_statuses_tokens_and_reasons(define: Define) -> None:
    define()
    runner = Formula()
    sweep = read_sweep("try")
    written = read_trials(sweep, run(sweep, runner))
    result = outcome(written)
    assert sum(result.statuses.values()) == 24
    last: dict[Any, float] = {}
    for rate, epochs, seed, share in runner.asked:
        last[rate, epochs, seed] = max(last.get((rate, epochs, seed), 0), share * epochs)
    failed = {row["finetune.learning_rate"] for row in written.rows if row["reason"]}
    assert result.tokens == sum(int(100_000 * share) for (rate, *_), share in last.items() if rate not in failed)
    assert result.reasons == dict.fromkeys(result.reasons, "training diverged at step 7")


def test_documents_have_what_was_found(define: Define) -> None:
    define()
    written = read_trials(read_sweep("try"), run(read_sweep("try")))
    result = outcome(written)
    document = outcome_json(written, result)
    assert document["winner"] == result.finalists[0].trial
    assert document["trials"]["begun"] == 24
    importance = importance_json(result)
    assert importance["trials"] == 24 - len(result.reasons)
    assert next(iter(importance["params"])) == "finetune.learning_rate"


def test_what_is_applied_is_fixed_and_the_values_of_the_trial(define: Define) -> None:
    define()
    written = read_trials(read_sweep("try"), run(read_sweep("try")))
    result = outcome(written)
    trial = chosen(written, result, None)
    assert applied(written, trial) == {**written.sweep.definition.fixed, **written.values(trial)}
    assert "finetune.seed" not in applied(written, trial)
    assert chosen(written, result, 3) == 3
    with pytest.raises(UserError, match="has no trial 99: its trials are 1 to 24"):
        chosen(written, result, 99)

"""Settings of trials: an even spread or Optuna, the first ones whatever the budget, no two alike."""

import sys
from collections.abc import Sequence

import pytest

from reprotune.errors import UserError
from reprotune.sweep.sampling import OptunaSampler, Sampler, SobolSampler, Told, Values, sampler
from reprotune.sweep.space import dimension

SPACE = (
    dimension("finetune.learning_rate", {"low": 1e-4, "high": 1e-2, "scale": "log"}),
    dimension("finetune.epochs", [1, 2, 3, 4]),
    dimension("finetune.lora.rank", {"low": 1, "high": 8}),
)


def ask(source: Sampler, count: int, loss: float | None = None) -> list[Values]:
    """Ask for trials one after another; each loss is told (by default the distance of the rank from 6)."""
    told: list[Told] = []
    for _ in range(count):
        values = source.propose(told)
        assert values is not None
        found = abs(values["finetune.lora.rank"] - 6) + 1.0 if loss is None else loss
        told.append(Told(values, [found], ended=True))
    return [dict(one.values) for one in told]


def identities(trials: Sequence[Values]) -> set[tuple[object, ...]]:
    return {tuple(values.values()) for values in trials}


def test_sobol_continues_where_it_was_and_repeats_nothing() -> None:
    source = SobolSampler(SPACE, 123)
    assert source.first(9) == source.first(100)[:9] == ask(source, 9)
    assert len(identities(source.first(100))) == 100


def test_sobol_spreads_evenly() -> None:
    trials = SobolSampler(SPACE, 5).first(16)
    rates = sorted(values["finetune.learning_rate"] for values in trials)
    parts = [
        sum(1e-4 * 10 ** (part / 2) <= rate < 1e-4 * 10 ** ((part + 1) / 2) for rate in rates) for part in range(4)
    ]
    assert parts == [4, 4, 4, 4]
    assert [sum(values["finetune.epochs"] == epochs for values in trials) for epochs in (1, 2, 3, 4)] == [4, 4, 4, 4]


def test_another_seed_is_another_spread() -> None:
    assert SobolSampler(SPACE, 1).first(4) != SobolSampler(SPACE, 2).first(4)


def test_a_space_that_is_used_up_says_so() -> None:
    small = (dimension("finetune.epochs", [1, 2]), dimension("finetune.drop_last", [True, False]))
    source = SobolSampler(small, 1)
    told = [Told(values, [1.0], ended=True) for values in source.first(100)]
    assert len(told) == 4
    assert source.propose(told) is None


def test_true_is_not_one() -> None:
    space = (dimension("finetune.early_stopping_patience", [1, None]),)
    assert len(SobolSampler(space, 1).first(9)) == 2


def test_optuna_is_asked_and_told_and_a_restart_changes_nothing() -> None:
    pytest.importorskip("optuna")
    source = OptunaSampler(SPACE, 7)
    trials = ask(source, 24)
    assert trials[:8] == SobolSampler(SPACE, 7).first(8)
    assert trials == ask(OptunaSampler(SPACE, 7), 24)
    assert len(identities(trials)) == 24
    assert trials[:12] == ask(source, 12)


def test_optuna_learns_from_what_it_is_told() -> None:
    pytest.importorskip("optuna")
    learned = [values["finetune.lora.rank"] for values in ask(OptunaSampler(SPACE, 7), 40)[8:]]
    assert sum(5 <= rank <= 7 for rank in learned) > len(learned) / 2


def test_optuna_takes_stopped_and_failed_trials() -> None:
    pytest.importorskip("optuna")
    values = SobolSampler(SPACE, 7).first(9)
    told = [Told(one, [0.5, 0.4][: 1 + index % 2], ended=index % 2 == 1) for index, one in enumerate(values)]
    told[3] = Told(values[3], [float("inf")], ended=False)
    assert OptunaSampler(SPACE, 7).propose(told) is not None


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"needs the package optuna: run `pip install"):
        sampler("optuna", SPACE, 1)

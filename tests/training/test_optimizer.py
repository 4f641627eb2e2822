"""The learning rate as a function of the step, and what is decayed."""

from collections.abc import Callable

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from reprotune.errors import UserError
from reprotune.model.network import Network
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.training.optimizer import build_optimizer, learning_rate, stable_steps

MakeParams = Callable[..., FinetuneParams]


def test_constant_rate_after_warm_up(make_params: MakeParams) -> None:
    params = make_params(schedule="constant", warmup_fraction=0.2, learning_rate=1.0)
    rates = [learning_rate(step, 10, params) for step in range(10)]
    assert rates == [0.5] + [1.0] * 9


@pytest.mark.parametrize(
    ("fraction", "steps", "expected"), [(0.07, 100, 7), (0.05, 250, 13), (0.1, 11, 2), (1.0, 9, 9)]
)
def test_warm_up_takes_its_share_of_the_steps(
    fraction: float, steps: int, expected: int, make_params: MakeParams
) -> None:
    params = make_params(schedule="constant", warmup_fraction=fraction, learning_rate=1.0)
    assert sum(learning_rate(step, steps, params) < 1.0 for step in range(steps)) == expected - 1


def test_cosine_follows_the_usual_schedule(make_params: MakeParams) -> None:
    params = make_params(warmup_fraction=0.0, min_learning_rate=0.0, learning_rate=0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    oracle = get_cosine_schedule_with_warmup(optimizer, 0, 20)
    for step in range(19):
        optimizer.step()
        oracle.step()
        assert learning_rate(step, 20, params) == pytest.approx(oracle.get_last_lr()[0])


def test_cosine_ends_at_the_minimum(make_params: MakeParams) -> None:
    params = make_params(min_learning_rate=1e-5)
    assert learning_rate(99, 100, params) == pytest.approx(1e-5)


def test_wsd_warms_up_is_stable_and_decays_in_a_straight_line(make_params: MakeParams) -> None:
    params = make_params(
        schedule="wsd", warmup_fraction=0.2, decay_fraction=0.4, learning_rate=1.0, min_learning_rate=0.2
    )
    rates = [learning_rate(step, 10, params) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2])
    assert stable_steps(10, params) == 6


def test_wsd_without_a_stable_part_is_a_linear_schedule(make_params: MakeParams) -> None:
    params = make_params(
        schedule="wsd", warmup_fraction=0.1, decay_fraction=0.9, learning_rate=0.5, min_learning_rate=0.0
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    oracle = get_linear_schedule_with_warmup(optimizer, 2, 20)
    for step in range(1, 20):
        optimizer.step()
        oracle.step()
        # theirs begins at zero and ends one step before it; ours begins one step above and reaches it
        assert learning_rate(step - 1, 20, params) == pytest.approx(oracle.get_last_lr()[0])


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 997])
def test_wsd_of_any_length_reaches_its_minimum_at_the_last_step_and_never_rises_after_the_warm_up(
    steps: int, make_params: MakeParams
) -> None:
    params = make_params(schedule="wsd", decay_fraction=0.3, learning_rate=1.0, min_learning_rate=0.1)
    rates = [learning_rate(step, steps, params) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.1) or steps == 1
    assert rates[: stable_steps(steps, params)][-1:] in ([1.0], [])


def test_the_stable_part_of_the_other_schedules(make_params: MakeParams) -> None:
    assert stable_steps(100, make_params(schedule="constant")) == 100
    assert stable_steps(100, make_params(schedule="cosine", warmup_fraction=0.05)) == 5


def test_a_warm_up_and_a_decay_longer_than_the_run_are_refused(make_params: MakeParams) -> None:
    with pytest.raises(UserError, match=r"warmup_fraction 0\.5 and decay_fraction 0\.6 add up to more than all steps"):
        make_params(schedule="wsd", warmup_fraction=0.5, decay_fraction=0.6)
    make_params(schedule="cosine", warmup_fraction=0.5, decay_fraction=0.6)


@pytest.mark.parametrize(("decay_all", "groups"), [(False, 2), (True, 1)])
def test_only_matrices_decay_unless_asked(
    decay_all: bool, groups: int, make_params: MakeParams, make_model: Callable[..., Network]
) -> None:
    model = make_model()
    optimizer = build_optimizer(model, make_params(decay_all=decay_all))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert len(optimizer.param_groups) == groups
    assert (id(model.wte.weight) in decayed) == decay_all
    assert id(model.blocks[0].c_fc.weight) in decayed

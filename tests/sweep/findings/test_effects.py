"""Effects of params: the one that decides is found, groups are intervals of the right means, chance is no effect."""

import math

import numpy as np
import pytest

from reprotune.sweep.findings.effects import effects
from reprotune.sweep.sampling import SobolSampler
from reprotune.sweep.space import dimension

SPACE = (
    dimension("finetune.learning_rate", {"low": 1e-4, "high": 1e-2, "scale": "log"}),
    dimension("finetune.epochs", [1, 2, 3]),
    dimension("finetune.lora.rank", {"low": 1, "high": 6, "scale": "log"}),
    dimension("finetune.batch_size", {"low": 4, "high": 6}),
)


def test_the_param_that_decides_comes_first() -> None:
    random = np.random.default_rng(1)
    trials = [
        (values, 1.0 - 0.2 * values["finetune.epochs"] + 0.01 * random.normal())
        for values in SobolSampler(SPACE, 3).first(32)
    ]
    first, *others = effects(SPACE, trials, seed=1)
    assert first.key == "finetune.epochs"
    assert first.share is not None and first.share > 0.8
    assert first.p_value is not None and first.p_value < 0.01
    assert all(other.p_value is not None and other.p_value > 0.05 for other in others)


def test_groups_are_choices_or_parts_of_a_range() -> None:
    trials = [(values, 0.5) for values in SobolSampler(SPACE, 3).first(32)]
    found = {effect.key: effect for effect in effects(SPACE, trials, seed=1)}
    labels = {key: [group.label for group in effect.groups] for key, effect in found.items()}
    assert labels["finetune.epochs"] == ["1", "2", "3"]
    assert labels["finetune.batch_size"] == ["4", "5", "6"]
    assert labels["finetune.learning_rate"] == ["0.0001–0.000316", "0.000316–0.001", "0.001–0.00316", "0.00316–0.01"]
    assert labels["finetune.lora.rank"] == ["1", "2", "3–6"] or labels["finetune.lora.rank"][0] == "1"
    for effect in found.values():
        assert sum(group.n for group in effect.groups) == 32
        assert all(group.loss is None or group.loss == pytest.approx(0.5) for group in effect.groups)
    assert [group.n for group in found["finetune.learning_rate"].groups] == [8, 8, 8, 8]


def test_a_group_has_the_interval_of_its_geometric_mean() -> None:
    space = (dimension("finetune.epochs", [1, 2]),)
    trials = [({"finetune.epochs": 1}, 1.0), ({"finetune.epochs": 1}, 4.0), ({"finetune.epochs": 2}, 3.0)]
    one, two = effects(space, trials, seed=1)[0].groups
    assert one.loss == pytest.approx(2.0)
    assert one.ci95_high == pytest.approx(2.0 * math.exp(12.7062 * math.log(4) / 2), rel=1e-3)
    assert (two.n, two.loss, two.ci95_low) == (1, pytest.approx(3.0), None)


def test_too_few_trials_say_nothing() -> None:
    found = effects(SPACE, [(SobolSampler(SPACE, 3).first(1)[0], 0.5)], seed=1)
    assert all(effect.share is None and effect.p_value is None for effect in found)
    assert effects(SPACE, [], seed=1)[0].groups[0].loss is None

"""Where the settings of trials come from: a Sobol sequence, or Optuna's TPE from the trials before.

Trial n has the same settings whatever the budget is, so that a sweep can be enlarged. No two trials have the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.stats import qmc

from reprotune.errors import UserError
from reprotune.sweep.space import BELOW_ONE, Dimension

BLOCK = 64
"""Points drawn at a time; a power of 2, as the sequence wants."""
FUTILE = 4096
"""Points without new settings after which a space counts as used up."""
FIRST_FROM_SOBOL = 8
"""Trials before Optuna has enough to learn from."""
RETRIES = 8
"""How often Optuna may propose settings that a trial has had."""

Values = dict[str, Any]


class Told(NamedTuple):
    """What became of an earlier trial."""

    values: Mapping[str, Any]
    losses: Sequence[float]
    """At each level that it reached; infinite at the one where it failed."""
    ended: bool
    """Whether it ran to the end."""


class Sampler(Protocol):
    """Proposes trials."""

    def propose(self, earlier: Sequence[Told]) -> Values | None:
        """Return the settings of the next trial, all `earlier` ones being in order; null where the space is used up."""


@dataclass(frozen=True)
class SobolSampler:
    """Points of a scrambled Sobol sequence: any first 2^k of them cover each param evenly (Owen 1998)."""

    dimensions: Sequence[Dimension]
    seed: int

    def propose(self, earlier: Sequence[Told]) -> Values | None:
        """See `Sampler`; what earlier trials came to does not matter."""
        taken = {_identity(told.values) for told in earlier}
        for values in self._distinct():
            if _identity(values) not in taken:
                return values
        return None

    def first(self, count: int) -> list[Values]:
        """Return the first trials, or all that the space has."""
        return list(islice(self._distinct(), count))

    def _distinct(self) -> Iterator[Values]:
        points = qmc.Sobol(len(self.dimensions), scramble=True, rng=self.seed)
        seen: set[tuple[Any, ...]] = set()
        futile = 0
        while futile < FUTILE:
            for point in points.random(BLOCK):
                values = {one.key: one.value(float(unit)) for one, unit in zip(self.dimensions, point, strict=True)}
                futile += 1
                if (identity := _identity(values)) not in seen:
                    seen.add(identity)
                    futile = 0
                    yield values


@dataclass(frozen=True)
class OptunaSampler:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), asked for one trial at a time.

    A study is made anew for each trial from those before it, with a seed of its own: what a trial is does not depend on
    whether the sweep was interrupted. Trials that were stopped count by the loss of their last rung.
    """

    dimensions: Sequence[Dimension]
    seed: int

    def propose(self, earlier: Sequence[Told]) -> Values | None:
        """See `Sampler`."""
        spread = SobolSampler(self.dimensions, self.seed)
        if len(earlier) < FIRST_FROM_SOBOL:
            return spread.propose(earlier)
        taken = {_identity(told.values) for told in earlier}
        for attempt in range(RETRIES):
            values = self._asked(earlier, [self.seed, len(earlier), attempt])
            if _identity(values) not in taken:
                return values
        return spread.propose(earlier)

    def _asked(self, earlier: Sequence[Told], seeds: Sequence[int]) -> Values:
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=0, seed=seed))
        study.add_trials([self._as_trial(optuna, told) for told in earlier])
        asked = study.ask(self._distributions(optuna)).params
        return {
            one.key: one.choices[asked[one.key]] if one.choices else one.value(min(asked[one.key], BELOW_ONE))
            for one in self.dimensions
        }

    def _distributions(self, optuna: Any) -> dict[str, Any]:
        """Return what Optuna draws from: the places of choices, and the unit line for ranges."""
        kinds = optuna.distributions
        return {
            one.key: kinds.CategoricalDistribution([*range(len(one.choices))])
            if one.choices
            else kinds.FloatDistribution(0.0, 1.0)
            for one in self.dimensions
        }

    def _as_trial(self, optuna: Any, told: Told) -> Any:
        states = optuna.trial.TrialState
        failed = not np.isfinite(told.losses).all()
        return optuna.trial.create_trial(
            state=states.FAIL if failed else states.COMPLETE if told.ended else states.PRUNED,
            params={
                one.key: (one.choice if one.choices else one.unit)(told.values[one.key]) for one in self.dimensions
            },
            distributions=self._distributions(optuna),
            value=told.losses[-1] if told.ended and not failed else None,
            intermediate_values={} if failed else dict(enumerate(told.losses)),
        )


def sampler(kind: str, dimensions: Sequence[Dimension], seed: int) -> Sampler:
    """Return the sampler of a kind; raises `UserError` where its package is missing."""
    if kind == "optuna":
        _optuna()
        return OptunaSampler(dimensions, seed)
    return SobolSampler(dimensions, seed)


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415 - an extra, which few sweeps need
    except ImportError as error:
        raise UserError(
            "sampler: optuna needs the package optuna: run `pip install -c constraints.txt -e '.[sweep]'`, or set "
            "sampler to sobol"
        ) from error
    return optuna


def _identity(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells settings apart, where `1` is not `true`."""
    return tuple((key, type(value).__name__, value) for key, value in sorted(values.items()))

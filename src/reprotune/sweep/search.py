"""The search: trials one after another, measured, promoted, stopped; then the finalists again, with fresh seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reprotune.console import counted, note
from reprotune.errors import UserError
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.values import spelled
from reprotune.sweep.contracts import FINAL, FINISHED, PROMOTED, REFUSED, SEARCH, STOPPED
from reprotune.sweep.definition import MOST_TRIALS, PRESENT, Sweep
from reprotune.sweep.halving import promotion
from reprotune.sweep.measuring import Measured
from reprotune.sweep.sampling import Told, sampler


class Runner(Protocol):
    """Makes runs; see `measuring.Runs`."""

    def measure(self, params: FinetuneParams, share: float) -> Measured:
        """Train up to a share of the steps."""

    def row_losses(self, params: FinetuneParams) -> np.ndarray:
        """Return the loss of each validation row under a run that has ended."""

    def drop_weights(self, params: FinetuneParams) -> None:
        """Delete the weights of a run that has ended."""


@dataclass(frozen=True)
class Run:
    """A trial with one seed at one level."""

    part: str
    trial: int
    share: float
    seed: int
    measured: Measured


@dataclass
class Trial:
    """One setting of the params."""

    number: int
    values: dict[str, Any]
    """Of the space."""
    losses: list[float] = field(default_factory=list)
    """Mean over the seeds at each level reached; infinite where it failed."""
    runs: list[Run] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it goes no further because it has no loss."""
        return bool(self.losses) and math.isinf(self.losses[-1])


@dataclass(frozen=True)
class FinalRun:
    """A finalist, or the present params, with a fresh seed."""

    run: Run
    row_losses: np.ndarray
    """[rows of the validation set] nats; empty where the run failed."""


def search(sweep: Sweep, runner: Runner) -> list[Trial]:
    """Run the trials of a sweep in their order; what has been run before is not run again."""
    definition = sweep.definition
    source = sampler(definition.sampler, sweep.dimensions, definition.seed)
    trials: list[Trial] = []
    while True:
        goes_on = promotion([trial.losses for trial in trials], len(sweep.levels), definition.eta)
        if goes_on is not None:
            _reach(sweep, runner, trials[goes_on.trial], goes_on.level)
        elif _may_begin(sweep, trials):
            earlier = [Told(one.values, one.losses, len(one.losses) == len(sweep.levels)) for one in trials]
            values = source.propose(earlier)
            if values is None:
                note(f"sweep: the space has {counted(len(trials), 'setting')}, and all were tried")
                return trials
            trials.append(Trial(len(trials) + 1, values))
            _reach(sweep, runner, trials[-1], 0)
        else:
            return trials


def best(trials: Sequence[Trial], levels: int, count: int) -> list[Trial]:
    """Return the best trials of those that ran to the end, the best first."""
    ended = [trial for trial in trials if len(trial.losses) == levels and not trial.failed]
    return sorted(ended, key=lambda trial: (trial.losses[-1], trial.number))[:count]


def finals(sweep: Sweep, runner: Runner, finalists: Sequence[Trial]) -> list[FinalRun]:
    """Train the present params and the finalists with each fresh seed."""
    found = []
    for number, values in [(PRESENT, None), *((trial.number, trial.values) for trial in finalists)]:
        for seed in sweep.definition.fresh_seeds:
            params = sweep.changed({"finetune.seed": seed}) if values is None else sweep.params(values, seed)
            who = f"trial {number}" if number else "the present params"
            note(f"sweep: {who} with the fresh seed {seed}")
            measured = runner.measure(params, 1.0)
            rows = np.empty(0) if measured.failure else runner.row_losses(params)
            found.append(FinalRun(Run(FINAL, number, 1.0, seed, measured), rows))
    return found


def status(run: Run, trial: Trial, levels: Sequence[float]) -> str:
    """Return what became of a trial at the level of a run; see `contracts.TRIALS`."""
    if run.measured.failure:
        return run.measured.failure
    if run.share == levels[-1]:
        return FINISHED
    return PROMOTED if len(trial.losses) > levels.index(run.share) + 1 else STOPPED


def _may_begin(sweep: Sweep, trials: Sequence[Trial]) -> bool:
    """Tell whether the budget has room for one more trial."""
    definition = sweep.definition
    if definition.trials is not None:
        return len(trials) < definition.trials
    used = sum(
        max((run.measured.seconds for run in trial.runs if run.seed == seed), default=0.0)
        for trial in trials
        for seed in definition.seeds
    )
    return used < 60 * (definition.minutes or 0) and len(trials) < MOST_TRIALS


def _reach(sweep: Sweep, runner: Runner, trial: Trial, level: int) -> None:
    """Train a trial up to a level with every seed; at the first that fails, the trial has failed."""
    share = sweep.levels[level]
    shown = ", ".join(f"{one.name} {spelled(trial.values[one.key])}" for one in sweep.dimensions)
    of = "" if sweep.definition.trials is None else f" of {sweep.definition.trials}"
    note(f"sweep: trial {trial.number}{of} to {share:.0%} of its steps: {shown}")
    losses = []
    for seed in sweep.definition.seeds:
        measured = _measure(sweep, runner, trial, seed, share)
        trial.runs.append(Run(SEARCH, trial.number, share, seed, measured))
        if measured.loss is None:
            note(f"sweep: trial {trial.number} {measured.failure}: {measured.reason}")
            trial.losses.append(math.inf)
            return
        losses.append(measured.loss)
    trial.losses.append(math.fsum(losses) / len(losses))
    note(f"sweep: trial {trial.number}: validation loss {trial.losses[-1]:.4f}")


def _measure(sweep: Sweep, runner: Runner, trial: Trial, seed: int, share: float) -> Measured:
    try:
        params = sweep.params(trial.values, seed)
    except UserError as error:
        return Measured(failure=REFUSED, reason=str(error))
    measured = runner.measure(params, share)
    if share == 1 and not measured.failure:
        runner.drop_weights(params)
    return measured

"""The definition of a sweep, `sweep/NAME.yaml`: space, budget, seeds, rungs; read strictly, all faults at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from reprotune.errors import UserError
from reprotune.params.schema import Section, Seed
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.values import PARAMS_FILE, read_document, spelled
from reprotune.sweep.space import NOT_SWEPT, SWEPT, Dimension, dimension, scalar_type

FOLDER = Path("sweep")
MOST_TRIALS = 10_000
PRESENT = 0
"""The number of the trial that has the settings of params.yaml; those of the sweep are counted from 1."""


class Definition(Section):
    """All of `sweep/NAME.yaml`."""

    space: dict[str, Any]
    """Dotted key of params.yaml -> a list of values, or a range: `low`, `high` and `scale` (`linear` or `log`)."""
    fixed: dict[str, Any] = Field(default={})
    """Dotted key -> its value in all trials, where it is another than in params.yaml."""
    trials: int | None = Field(default=None, ge=2, le=MOST_TRIALS)
    """The budget as a number of trials."""
    minutes: float | None = Field(default=None, gt=0)
    """The budget as minutes of training: no trial begins later."""
    seeds: list[Seed] = Field(default=[123])
    """Every trial is trained once with each; its loss is the mean."""
    rungs: list[float] = Field(default=[])
    """Shares of a trial's steps after which it is compared with others; none: all trials run to the end."""
    eta: int = Field(default=2, ge=2, le=100)
    """One of so many trials goes on from a rung."""
    finalists: int = Field(default=2, ge=1, le=100)
    """So many of the best are trained again with fresh seeds, beside the present params."""
    fresh_seeds: list[Seed] = Field(default=[1001, 1002, 1003, 1004, 1005])
    """The seeds for that."""
    sampler: Literal["sobol", "optuna"] = Field(default="sobol")
    """Where the settings of trials come from: an even spread, or Optuna's TPE, which learns from earlier trials."""
    seed: Seed = Field(default=123)
    """Seed of the sampler."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as it will run: the definition, its dimensions, and the params that trials differ from."""

    name: str
    definition: Definition
    dimensions: tuple[Dimension, ...]
    present: FinetuneParams
    """The section of params.yaml as it is."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The shares of a trial's steps at which it is measured; the last one is 1."""
        return (*self.definition.rungs, 1.0)

    def params(self, values: Mapping[str, Any], seed: int) -> FinetuneParams:
        """Return the params of a trial; raises `UserError` where its values of the space do not go together."""
        return self.changed({**self.definition.fixed, **values, "finetune.seed": seed})

    def changed(self, values: Mapping[str, Any]) -> FinetuneParams:
        """Return the present params with the values of some dotted keys; raises `UserError` where one cannot be."""
        document = self.present.model_dump()
        for key, value in values.items():
            *parents, name = key.removeprefix(SWEPT).split(".")
            place = document
            for parent in parents:
                place = place[parent]
            place[name] = value
        return FinetuneParams.parse(SWEPT.rstrip("."), document)

    def present_value(self, key: str) -> Any:
        """Return what params.yaml has for a dotted key."""
        found: Any = self.present
        for part in key.removeprefix(SWEPT).split("."):
            found = getattr(found, part)
        return found


def sweep_path(name: str) -> Path:
    """Return the file of a sweep; raises `UserError` unless there is one."""
    path = FOLDER / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name) or not path.is_file() or name == "dvc":
        names = ", ".join(sweep_names()) or "none so far"
        raise UserError(f"there is no sweep {name!r}: write {FOLDER}/{name}.yaml, or name one that is there ({names})")
    return path


def sweep_names() -> list[str]:
    """Return the names of all sweeps, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "dvc")


def read_sweep(name: str) -> Sweep:
    """Read and check a definition against params.yaml; raises `UserError` naming every fault."""
    path = sweep_path(name)
    definition = Definition.parse("", read_document(path), path)
    dimensions, faults = [], list(_faults(definition))
    for key, values in definition.space.items():
        try:
            dimensions.append(dimension(key, values))
        except UserError as error:
            faults.append(str(error) if str(error).startswith("space.") else f"space: {error}")
    if not faults:
        sweep = Sweep(name, definition, tuple(dimensions), FinetuneParams.load("finetune"))
        faults = [*_wrong_values(sweep), *_rung_faults(sweep)]
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}")
    return sweep


def _faults(definition: Definition) -> Iterator[str]:
    """Yield what is wrong whatever params.yaml holds."""
    if (definition.trials is None) == (definition.minutes is None):
        yield "the budget should be given as trials or as minutes, one of them"
    fewest = definition.eta ** len(definition.rungs)
    if definition.trials is not None and definition.trials < fewest:
        yield (
            f"trials is {definition.trials}: with {len(definition.rungs)} rungs and eta {definition.eta} none would "
            f"go to the end: set it to {fewest} or more, or take a rung out"
        )
    if not all(low < high for low, high in pairwise([0.0, *definition.rungs, 1.0])):
        yield "rungs should be shares of the steps above 0 and below 1, each larger than the one before"
    for name, fewest_seeds in (("seeds", 1), ("fresh_seeds", 3)):
        seeds = getattr(definition, name)
        if len(seeds) < fewest_seeds or len(set(seeds)) < len(seeds):
            yield f"{name} should list {fewest_seeds} or more seeds, each once"
    if common := set(definition.seeds) & set(definition.fresh_seeds):
        yield f"fresh_seeds has {min(common)}, which is one of seeds: the winner was chosen with it, so take another"
    if not definition.space:
        yield "space is empty: name the params to vary"
    for key in definition.fixed:
        if key in definition.space:
            yield f"fixed.{key} is in space as well: keep one of them"
        elif key in NOT_SWEPT:
            yield f"fixed.{key} cannot be set for trials alone: {NOT_SWEPT[key]}"
        else:
            yield from _told("fixed", partial(scalar_type, key))


def _wrong_values(sweep: Sweep) -> Iterator[str]:
    """Yield which single values params.yaml could not have."""
    fixed = sweep.definition.fixed
    yield from (wrong := list(_told("fixed", partial(sweep.changed, fixed))))
    for one in sweep.dimensions:
        ends = [int(end) if one.whole else end for end in (one.low, one.high)]
        for value in [] if wrong else one.choices or ends:
            yield from _told("space", partial(sweep.changed, {**fixed, one.key: value}))


def _told(where: str, check: Callable[[], Any]) -> Iterator[str]:
    try:
        check()
    except UserError as error:
        yield f"{where}: {str(error).removeprefix(f'{PARAMS_FILE}: ')}"


def _rung_faults(sweep: Sweep) -> Iterator[str]:
    """Yield why trials cannot be compared at the rungs: before its stable part ends, a trial is no shorter one."""
    rungs = sweep.definition.rungs
    if not rungs:
        return
    warmup = max(_possible(sweep, "finetune.warmup_fraction"))
    decay = max(_possible(sweep, "finetune.decay_fraction"))
    schedules = _possible(sweep, "finetune.schedule")
    if "cosine" in schedules:
        yield (
            "rungs compare trials before their end, but with finetune.schedule cosine the learning rate falls all the "
            "way, so a trial that is stopped is no shorter one: set finetune.schedule to wsd under fixed, or leave out "
            "rungs"
        )
    elif rungs[0] < warmup:
        yield f"the rung {rungs[0]:g} lies within the warm-up of {spelled(warmup)}: raise it"
    elif "wsd" in schedules and rungs[-1] > 1 - decay + 1e-9:
        yield (
            f"the rung {rungs[-1]:g} lies in the decay, which begins at {1 - decay:g} of the steps: lower it, or "
            "finetune.decay_fraction"
        )


def _possible(sweep: Sweep, key: str) -> list[Any]:
    """Return the values that a key of finetune has in trials: all choices, or the ends of its range."""
    for one in sweep.dimensions:
        if one.key == key:
            return [*(one.choices or (one.low, one.high))]
    return [sweep.definition.fixed.get(key, sweep.present_value(key))]

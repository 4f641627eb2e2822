"""A sweep in the terminal: what it will train, and what it has found."""

from rich import box
from rich.table import Table

from reprotune.dataset.collate import TokenRows
from reprotune.params.values import spelled
from reprotune.results.words import counted, quantity
from reprotune.runs.trial import INPUTS
from reprotune.sweep.artifact import Written
from reprotune.sweep.definition import Sweep
from reprotune.sweep.findings.outcome import Outcome
from reprotune.sweep.findings.page import trial_lines
from reprotune.sweep.findings.words import comparison_words, headline, loss, p_words, rule_words
from reprotune.sweep.sampling import SobolSampler

MOST_SHOWN = 50


def settings_table(sweep: Sweep) -> Table | None:
    """Return the settings of the trials, as far as they are known before any has run; null where they are not."""
    count = sweep.definition.trials
    if sweep.definition.sampler != "sobol" or count is None:
        return None
    table = _table("trial", *(one.name for one in sweep.dimensions))
    trials = SobolSampler(sweep.dimensions, sweep.definition.seed).first(min(count, MOST_SHOWN))
    for number, values in enumerate(trials, 1):
        table.add_row(str(number), *(spelled(values[one.key]) for one in sweep.dimensions))
    return table


def budget_lines(sweep: Sweep) -> list[str]:
    """Return what a sweep will train, at most, in sentences."""
    definition = sweep.definition
    seeds = counted(len(definition.seeds), "seed")
    lines = [rule_words(sweep)]
    if definition.trials is None:
        lines.append(f"trials begin for {definition.minutes:g} minutes of training, each with {seeds}")
    else:
        share = least_share(sweep)
        whole = definition.trials * len(definition.seeds)
        lines.append(
            f"{counted(definition.trials, 'trial')} with {seeds}: a little more than {share:.0%} of the steps of "
            f"{counted(whole, 'whole run')}"
        )
    finals = (definition.finalists + 1) * len(definition.fresh_seeds)
    finalists = counted(definition.finalists, "finalist")
    lines.append(f"then {counted(finals, 'whole run')} with fresh seeds: {finalists} and the present params")
    if INPUTS.train.is_file():
        tokens = int(TokenRows.read(INPUTS.train).input_lengths.sum())
        lines.append(f"an epoch of the training rows reads {quantity(tokens)} tokens")
    return lines


def least_share(sweep: Sweep) -> float:
    """Return the share of all steps of all trials that halving trains at least: 1 without rungs."""
    share, begins, left = 0.0, 0.0, 1.0
    for level in sweep.levels:
        share += left * (level - begins)
        begins, left = level, left / sweep.definition.eta
    return share


def trials_table(written: Written) -> Table:
    """Return the trials, the furthest and best first."""
    sweep = written.sweep
    table = _table(
        "trial", *(one.name for one in sweep.dimensions), *(f"{level:.0%}" for level in sweep.levels), "status"
    )
    for line in trial_lines(written)[:MOST_SHOWN]:
        drawn = line.drawn
        losses = [loss(drawn.losses[level]) if level in drawn.losses else "" for level in sweep.levels]
        table.add_row(str(drawn.number), *(words for words, _ in line.cells), *losses, line.status)
    return table


def effects_table(found: Outcome) -> Table:
    """Return how much of the spread of losses each param explains."""
    table = _table("param", "share of the spread", "p")
    for effect in found.effects:
        share = "–" if effect.share is None else f"{effect.share:.0%}"
        table.add_row(effect.key, share, p_words(effect.p_value))
    return table


def result_lines(written: Written, found: Outcome) -> list[str]:
    """Return how the finalists compare with the present params."""
    seeds = len(written.sweep.definition.fresh_seeds)
    return [*(comparison_words(found, one, seeds) for one in found.finalists), headline(found)[1]]


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right", overflow="fold")  # digits that are left out would mislead
    return table

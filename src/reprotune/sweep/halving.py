"""Successive halving, one decision at a time: which trial goes on, or whether a new one begins.

The rule is that of asynchronous successive halving (Li et al., 2020, arXiv 1810.05934), followed by one worker: of the
trials that have been measured at a rung, the best 1 / eta go on. Whenever a trial may go on, it does, before any new
one begins. So the state after n trials is one that every larger budget passes through: enlarging a sweep adds to it,
and takes nothing back. Synchronous halving, which ranks all trials of a budget at once, would not have that.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Promotion(NamedTuple):
    """A trial that goes on to a level."""

    trial: int
    """Its place among the trials."""
    level: int


def promotion(losses: Sequence[Sequence[float]], levels: int, eta: int) -> Promotion | None:
    """Return which trial goes on next; null where none may.

    `losses` holds for each trial its loss at each level reached so far, of `levels` (the rungs and the end); infinite
    where it failed, which is worse than all others and goes no further. The highest level comes first; equal losses
    rank in the order of the trials.
    """
    for level in reversed(range(1, levels)):
        measured = [trial for trial, reached in enumerate(losses) if len(reached) >= level]
        ranked = sorted(measured, key=lambda trial: losses[trial][level - 1])
        for trial in ranked[: len(measured) // eta]:
            if len(losses[trial]) == level and losses[trial][level - 1] < float("inf"):
                return Promotion(trial, level)
    return None

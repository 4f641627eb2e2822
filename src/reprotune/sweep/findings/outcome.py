"""What a sweep found: how the finalists compare with the present params on fresh seeds, and who has won."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reprotune.errors import UserError
from reprotune.statistics.crossed import crossed_mean
from reprotune.statistics.paired import BETTER, NOISE, SAME, WORSE
from reprotune.statistics.ratios import ratio_values
from reprotune.sweep.artifact import Rows, Written, level_losses
from reprotune.sweep.definition import PRESENT
from reprotune.sweep.findings.effects import Effect, effects

LEVEL = 0.05
"""Chance of calling any finalist better that is not; divided among them, since the best one is chosen after all."""


class Finalist(NamedTuple):
    """A trial that was trained again with fresh seeds, beside the present params."""

    trial: int
    values: dict[str, Any]
    search_loss: float
    """At the end of the search: the best of many draws, so better than it deserves."""
    loss: float | None
    """Validation loss, mean over the fresh seeds; null where one failed, as is all below."""
    difference: float | None
    """Of that and the present params' loss, over the same rows and seeds; below 0 is better."""
    stderr_rows: float | None
    stderr_seeds: float | None
    low: float | None
    """Of an interval that holds for all finalists at once with 95 %."""
    high: float | None
    verdict: str | None
    """As of `statistics.paired`: `better`, `worse`, `within noise` or `unchanged`."""


class Outcome(NamedTuple):
    """The results of a sweep."""

    statuses: dict[str, int]
    """Trials of the search by what became of them."""
    reasons: dict[int, str]
    """Why trials failed."""
    tokens: int
    """Read by the runs of the search and of the finals together."""
    present_loss: float | None
    """Validation loss of params.yaml, mean over the fresh seeds; null where it failed."""
    finalists: list[Finalist]
    """The one with the lowest loss on fresh seeds first."""
    effects: list[Effect]
    measured_at: float
    """The rung whose losses the effects are about."""
    rows: int
    """Of the validation set."""

    @property
    def winner(self) -> Finalist | None:
        """The best finalist; null where none could be compared."""
        return next((one for one in self.finalists if one.difference is not None), None)


def outcome(written: Written) -> Outcome:
    """Work out the results of a sweep from what its runs have left."""
    sweep = written.sweep
    search = written.search()
    finals = written.finals()
    losses = {trial: level_losses(rows) for trial, rows in search.items()}
    present = _mean(finals.get(PRESENT, []))
    tables = _row_tables(written)
    confidence = 1 - LEVEL / max(len(finals) - 1, 1)
    finalists = []
    for trial, rows in finals.items():
        if trial != PRESENT:
            compared = _compared(tables, trial, confidence) if present is not None and _mean(rows) is not None else {}
            nothing = dict.fromkeys(Finalist._fields[4:])
            found = Finalist(trial, written.values(trial), losses[trial][1.0], _mean(rows), **{**nothing, **compared})
            finalists.append(found)
    finalists.sort(key=lambda one: (one.loss is None, one.loss, one.trial))
    first = sweep.levels[0]
    measured = [(written.values(trial), reached[first]) for trial, reached in losses.items() if first in reached]
    return Outcome(
        statuses=dict(Counter(last_status(rows) for rows in search.values())),
        reasons={trial: row["reason"] for trial, rows in search.items() for row in rows if row["reason"]},
        tokens=tokens_read(written.rows),
        present_loss=present,
        finalists=finalists,
        effects=effects(sweep.dimensions, measured, sweep.definition.seed),
        measured_at=first,
        rows=len(set(written.row_losses["row"].to_pylist())),
    )


def last_status(rows: Rows) -> str:
    """Return what became of a trial in the end: at its highest rung, or at the one where it failed."""
    status: str = max(rows, key=lambda row: (row["reason"] is not None, row["rung"]))["status"]
    return status


def outcome_json(written: Written, found: Outcome) -> dict[str, Any]:
    """Return the results as they are written to `result.json`."""
    sweep = written.sweep
    winner = found.winner
    return {
        "sweep": sweep.name,
        "trials": {"begun": len(written.search()), **found.statuses},
        "rungs": list(sweep.levels),
        "seeds": list(sweep.definition.seeds),
        "fresh_seeds": list(sweep.definition.fresh_seeds),
        "tokens": found.tokens,
        "validation_rows": found.rows,
        "present": {"loss": found.present_loss},
        "finalists": [one._asdict() for one in found.finalists],
        "winner": None if winner is None else winner.trial,
        "verdict": None if winner is None else winner.verdict,
    }


def importance_json(found: Outcome) -> dict[str, Any]:
    """Return the effects of the params as they are written to `importance.json`."""
    return {
        "measured_at": found.measured_at,
        "trials": sum(group.n for effect in found.effects[:1] for group in effect.groups),
        "params": {
            effect.key: {
                "share": effect.share,
                "p_value": effect.p_value,
                "groups": [group._asdict() for group in effect.groups],
            }
            for effect in found.effects
        },
    }


def chosen(written: Written, found: Outcome, trial: int | None) -> int:
    """Return the trial to apply: the one that is named, or the winner.

    Raises `UserError` where the named one never began, or the winner is not shown to beat the present params.
    """
    if trial is not None:
        begun = written.search()
        if trial not in begun:
            raise UserError(f"sweep {written.sweep.name} has no trial {trial}: its trials are 1 to {max(begun)}")
        return trial
    if found.winner is None:
        raise UserError(
            f"sweep {written.sweep.name} has compared no trial with the present params: name one with --trial"
        )
    if found.winner.verdict != BETTER:
        raise UserError(
            f"the best of sweep {written.sweep.name}, trial {found.winner.trial}, is not shown to beat the present "
            f"params (difference of the loss {found.winner.difference:+.4f}, {found.winner.low:+.4f} to "
            f"{found.winner.high:+.4f}): keep them, or name it with --trial {found.winner.trial}"
        )
    return found.winner.trial


def applied(written: Written, trial: int) -> dict[str, Any]:
    """Return the dotted keys that make params.yaml that of a trial, its seed not."""
    return {**written.sweep.definition.fixed, **written.values(trial)}


def _compared(tables: Mapping[int, tuple[np.ndarray, np.ndarray]], trial: int, confidence: float) -> dict[str, Any]:
    (before, sizes), (after, own_sizes) = tables[PRESENT], tables[trial]
    changes = ratio_values(after, own_sizes) - ratio_values(before, sizes)
    estimate = crossed_mean(changes, None, confidence=confidence)
    if estimate is None:  # a single row
        return {}
    inside = estimate.ci95_low <= 0 <= estimate.ci95_high
    verdict = NOISE if inside else BETTER if estimate.mean < 0 else WORSE
    return {
        "difference": estimate.mean,
        "stderr_rows": estimate.share.stderr_rows,
        "stderr_seeds": estimate.share.stderr_seeds,
        "low": estimate.ci95_low,
        "high": estimate.ci95_high,
        "verdict": SAME if np.array_equal(before, after) else verdict,
    }


def _row_tables(written: Written) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the losses (seeds, rows) and the trained tokens (rows) of the finalists and the present params."""
    frame: dict[int, dict[int, list[tuple[float, int]]]] = {}
    columns = [written.row_losses[name].to_pylist() for name in ("trial", "seed", "loss", "tokens")]
    for trial, seed, loss, tokens in zip(*columns, strict=True):  # sorted by row within a seed
        frame.setdefault(trial, {}).setdefault(seed, []).append((loss, tokens))
    found = {}
    for trial, by_seed in frame.items():
        table = np.array([by_seed[seed] for seed in sorted(by_seed)])  # (seeds, rows, 2)
        found[trial] = table[:, :, 0], table[0, :, 1]
    return found


def _mean(rows: Rows) -> float | None:
    """Return the mean loss of a trial's final runs; null where one failed, or there are none."""
    losses = [row["loss"] for row in rows]
    return None if not losses or None in losses else float(np.mean(losses))


def tokens_read(rows: Rows) -> int:
    """Return the tokens that runs have read: of a run that was measured at several rungs, those at the last."""
    last: dict[tuple[Any, ...], int] = {}
    for row in rows:
        run = row["part"], row["trial"], row["seed"]
        last[run] = max(last.get(run, 0), row["tokens"] or 0)
    return sum(last.values())

"""The files of a sweep, `data/sweep/NAME/`: written by the stage that trains, read by the one that reports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reprotune.artifacts import TEXT, read_table, write_table
from reprotune.params.values import same_value, spelled
from reprotune.sweep.contracts import FINAL, FINISHED, ROW_LOSSES, SEARCH, SECONDS, trials_schema
from reprotune.sweep.definition import PRESENT, Sweep
from reprotune.sweep.search import FinalRun, Run, Trial, status

FOLDER = Path("data/sweep")
TRIALS_FILE, ROWS_FILE, SECONDS_FILE = "trials.parquet", "rows.parquet", "seconds.parquet"

Rows = list[dict[str, Any]]


def write_trials(
    folder: Path,
    sweep: Sweep,
    trials: Sequence[Trial],
    finals: Sequence[FinalRun],
    validation: tuple[Sequence[str], np.ndarray],
) -> None:
    """Write the trials, the losses by row of the finals and the seconds; `validation` has ids and trained tokens."""
    numbered = {trial.number: trial for trial in trials}
    runs = [(run, trial.values, status(run, trial, sweep.levels)) for trial in trials for run in trial.runs]
    for final in finals:
        values = numbered[final.run.trial].values if final.run.trial != PRESENT else _present_values(sweep)
        runs.append((final.run, values, final.run.measured.failure or FINISHED))
    runs.sort(key=lambda item: (item[0].part == FINAL, item[0].trial, item[0].share, item[0].seed))
    schema = trials_schema(sweep.dimensions)
    table = [_row(run, became) | _cells(values, schema) for run, values, became in runs]
    write_table(folder / TRIALS_FILE, pa.Table.from_pylist(table, schema=schema))
    write_table(folder / ROWS_FILE, pa.Table.from_pylist(_row_losses(finals, *validation), schema=ROW_LOSSES))
    seconds = [{**_named(run), "seconds": round(run.measured.seconds, 3)} for run, _, _ in runs]
    write_table(folder / SECONDS_FILE, pa.Table.from_pylist(seconds, schema=SECONDS))


def _named(run: Run) -> dict[str, Any]:
    return {"part": run.part, "trial": run.trial, "rung": run.share, "seed": run.seed}


def _row(run: Run, became: str) -> dict[str, Any]:
    measured = run.measured
    counts = {name: getattr(measured, name) for name in ("reason", "loss", "step", "steps", "tokens")}
    return {**_named(run), "status": became, **counts}


def _present_values(sweep: Sweep) -> dict[str, Any]:
    """Return what params.yaml has for the params of the space."""
    return {one.key: sweep.present_value(one.key) for one in sweep.dimensions}


def _cells(values: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Return the values as the columns hold them: as text where these are text."""
    return {
        key: value if value is None or schema.field(key).type != TEXT else spelled(value)
        for key, value in values.items()
    }


def _row_losses(finals: Sequence[FinalRun], ids: Sequence[str], tokens: np.ndarray) -> Rows:
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return [
        {
            "trial": final.run.trial,
            "seed": final.run.seed,
            "row": ids[row],
            "loss": float(final.row_losses[row]),
            "tokens": int(tokens[row]),
        }
        for final in sorted(finals, key=lambda final: (final.run.trial, final.run.seed))
        if not final.run.measured.failure
        for row in order
    ]


@dataclass(frozen=True)
class Written:
    """A sweep as it was written."""

    sweep: Sweep
    rows: Rows
    """Of `trials.parquet`; values of the space by their keys, choices as the definition has them."""
    row_losses: pa.Table

    def search(self) -> dict[int, Rows]:
        """Return the rows of the search by trial."""
        return self._by_trial(SEARCH)

    def finals(self) -> dict[int, Rows]:
        """Return the rows of the finals by trial, the present params first."""
        return self._by_trial(FINAL)

    def values(self, trial: int) -> dict[str, Any]:
        """Return the values of the space that a trial has."""
        row = next(row for row in self.rows if row["trial"] == trial)
        return {one.key: row[one.key] for one in self.sweep.dimensions}

    def _by_trial(self, part: str) -> dict[int, Rows]:
        found: dict[int, Rows] = {}
        for row in self.rows:
            if row["part"] == part:
                found.setdefault(row["trial"], []).append(row)
        return found


def read_trials(sweep: Sweep, folder: Path) -> Written:
    """Read what `write_trials` wrote; raises `UserError` where it is missing, damaged, or of another space."""
    schema = trials_schema(sweep.dimensions)
    rows = read_table(folder / TRIALS_FILE, schema).to_pylist()
    for row in rows:
        for one in sweep.dimensions:
            row[one.key] = next((choice for choice in one.choices if _same_cell(choice, row[one.key])), row[one.key])
    return Written(sweep, rows, read_table(folder / ROWS_FILE, ROW_LOSSES))


def _same_cell(choice: Any, cell: Any) -> bool:
    return same_value(choice, cell) or (isinstance(cell, str) and choice is not None and spelled(choice) == cell)


def level_losses(rows: Rows) -> dict[float, float]:
    """Return the mean loss over the seeds at each rung of a trial, failed ones left out."""
    by_rung: dict[float, list[float]] = {}
    for row in rows:
        by_rung.setdefault(row["rung"], []).append(math.nan if row["loss"] is None else row["loss"])
    means = {rung: math.fsum(losses) / len(losses) for rung, losses in by_rung.items()}
    return {rung: loss for rung, loss in means.items() if not math.isnan(loss)}

"""What a sweep writes: the trials, and the losses by row of the finalists."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from reprotune.artifacts import TEXT, contract, optional, required
from reprotune.sweep.space import Dimension

SEARCH, FINAL = "search", "final"
PROMOTED, STOPPED, FINISHED = "promoted", "stopped", "finished"
DIVERGED, OUT_OF_MEMORY, REFUSED = "diverged", "out of memory", "refused"
"""Statuses; the last three are without a loss."""

TRIALS = contract(
    "one trial with one seed, measured at one rung or at its end; sorted by part, trial, rung, seed. A column for "
    "each param of the space follows, by its dotted key, with the value that the trial had",
    required(
        "part",
        TEXT,
        "`search`, or `final` for a finalist that was trained again with a fresh seed; so were the present params.",
    ),
    required("trial", pa.int32(), "The trial's number, from 1; 0 has the settings of params.yaml."),
    required("rung", pa.float64(), "The share of its steps after which it was measured; 1 is the end."),
    required("seed", pa.int64(), "`finetune.seed`."),
    required(
        "status",
        TEXT,
        "What became of it there: `promoted` (went on from the rung), `stopped`, `finished`, or, without a loss, "
        "`diverged`, `out of memory` or `refused` (such params cannot be trained).",
    ),
    optional("reason", TEXT, "Why it failed; null where it did not."),
    optional(
        "loss",
        pa.float64(),
        "Validation loss in nats per trained token: at a rung of the weights of that step, at the end of the best.",
    ),
    optional("step", pa.int64(), "Optimizer steps made."),
    optional("steps", pa.int64(), "Steps of the whole schedule."),
    optional("tokens", pa.int64(), "Tokens read by then, in all epochs."),
)

ROW_LOSSES = contract(
    "one row of the validation set under one model that was trained with a fresh seed; sorted by trial, seed, id",
    required("trial", pa.int32(), "As in `trials.parquet`: a finalist, or 0 for the settings of params.yaml."),
    required("seed", pa.int64(), "`finetune.seed`, one of `fresh_seeds`."),
    required("row", TEXT, "The record's id."),
    required("loss", pa.float64(), "Negative log-likelihood of the row's trained tokens, in nats, summed."),
    required("tokens", pa.int64(), "The row's trained tokens."),
)

SECONDS = contract(
    "how long a run of `trials.parquet` took up to there; the one file of a sweep that differs between reruns",
    required("part", TEXT, "As in `trials.parquet`."),
    required("trial", pa.int32(), "As in `trials.parquet`."),
    required("rung", pa.float64(), "As in `trials.parquet`."),
    required("seed", pa.int64(), "As in `trials.parquet`."),
    required("seconds", pa.float64(), "Of training from its first step, interruptions not counted."),
)


def trials_schema(dimensions: Sequence[Dimension]) -> pa.Schema:
    """Return `TRIALS` with a column for each dimension of a sweep."""
    return pa.schema([*TRIALS, *(pa.field(one.key, _column_type(one)) for one in dimensions)])


def _column_type(one: Dimension) -> pa.DataType:
    """Return what holds all values of a dimension: choices of mixed kinds are written as text."""
    values: list[Any] = [value for value in one.choices if value is not None]
    kinds = {type(value) for value in values}
    if not one.choices:
        return pa.int64() if one.whole else pa.float64()
    if kinds <= {int}:
        return pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    return pa.bool_() if kinds == {bool} else TEXT

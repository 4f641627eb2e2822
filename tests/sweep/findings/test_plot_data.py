"""Plot data as CSV."""

import csv
import io

from reprotune.sweep.artifact import Written
from reprotune.sweep.findings.outcome import outcome
from reprotune.sweep.findings.plot_data import curves_csv, effects_csv


def test_a_line_for_each_trial_and_rung(written: Written) -> None:
    rows = list(csv.DictReader(io.StringIO(curves_csv(written))))
    assert len(rows) == sum(row["part"] == "search" and row["loss"] is not None for row in written.rows)
    assert {row["rung"] for row in rows} == {"0.25", "0.5", "1.0"}


def test_a_line_for_each_group_of_each_param(written: Written) -> None:
    found = outcome(written)
    rows = list(csv.DictReader(io.StringIO(effects_csv(found))))
    assert len(rows) == sum(len(effect.groups) for effect in found.effects)
    assert rows[0]["param"] == "finetune.learning_rate"

"""The data of a sweep's plots as CSV, for DVC and other programs."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from reprotune.sweep.artifact import Written, level_losses
from reprotune.sweep.findings.outcome import Outcome


def curves_csv(written: Written) -> str:
    """Return a line per trial and rung: its share of the steps and the loss, mean over the seeds."""
    rows = [
        (trial, rung, loss) for trial, rows in written.search().items() for rung, loss in level_losses(rows).items()
    ]
    return _csv(("trial", "rung", "loss"), rows)


def effects_csv(found: Outcome) -> str:
    """Return a line per param and group of trials: its mean loss and interval at the first rung."""
    rows = [(effect.key, *group) for effect in found.effects for group in effect.groups]
    return _csv(("param", "values", "trials", "loss", "ci95_low", "ci95_high"), rows)


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()

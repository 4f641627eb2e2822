"""Report a sweep: what each param has to do with the loss, who has won and by how much, as JSON, CSV and a page."""

import sys

from reprotune.artifacts import write_json, write_text
from reprotune.pipeline.stage import run_stage
from reprotune.sweep.artifact import FOLDER, read_trials
from reprotune.sweep.definition import read_sweep
from reprotune.sweep.findings.outcome import importance_json, outcome, outcome_json
from reprotune.sweep.findings.page import sweep_page
from reprotune.sweep.findings.plot_data import curves_csv, effects_csv


def main() -> None:
    """Read the trials, write what they show."""
    sweep = read_sweep(sys.argv[1])
    folder = FOLDER / sweep.name
    written = read_trials(sweep, folder)
    found = outcome(written)
    write_json(folder / "result.json", outcome_json(written, found))
    write_json(folder / "importance.json", importance_json(found))
    write_text(folder / "curves.csv", curves_csv(written))
    write_text(folder / "effects.csv", effects_csv(found))
    write_text(folder / "index.html", sweep_page(written, found))


if __name__ == "__main__":
    run_stage("sweep_report", main)

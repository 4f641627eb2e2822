"""Run a sweep (`sweep/NAME.yaml`): its trials, then the best of them with fresh seeds beside the present params."""

import sys

from reprotune.compute.device import keep_freed_memory
from reprotune.console import note
from reprotune.pipeline.stage import run_stage
from reprotune.sweep.artifact import FOLDER, write_trials
from reprotune.sweep.definition import read_sweep
from reprotune.sweep.measuring import Runs
from reprotune.sweep.search import best, finals, search


def main() -> None:
    """Search, compare, write; a sweep that was killed or enlarged goes on from what has been run."""
    keep_freed_memory()
    sweep = read_sweep(sys.argv[1])
    runs = Runs()
    trials = search(sweep, runs)
    finalists = best(trials, len(sweep.levels), sweep.definition.finalists)
    if not finalists:
        note("sweep: no trial ran to its end, so there is none to compare with the present params")
    compared = finals(sweep, runs, finalists) if finalists else []
    rows = runs.validation_rows(sweep.present)
    write_trials(FOLDER / sweep.name, sweep, trials, compared, rows)


if __name__ == "__main__":
    run_stage("sweep", main)

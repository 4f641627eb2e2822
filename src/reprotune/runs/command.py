"""The command `repeat`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def repeat(
    seeds: Annotated[int | None, typer.Option(help="Number of runs.  [default: as before, at first 5]", min=2)] = None,
    keep_models: Annotated[
        bool | None,
        typer.Option("--keep-models/--drop-models", help="Keep the weights of every run, or (default) not."),
    ] = None,
) -> None:
    """Train, generate and judge with several seeds.

    Every run has the params of params.yaml but for the seed, and is kept: another seed later costs what that seed
    costs. The pipeline for it is written to repeats/ the first time, and runs with `dvc repro repeats/dvc.yaml`; plain
    `dvc repro` leaves it alone.
    """
    from rich.console import Console

    from reprotune.results.repeats import repeats_tables
    from reprotune.runs.pipeline import PIPELINE, prepare

    prepare(Path(), seeds, keep_models)
    run = subprocess.run([sys.executable, "-m", "dvc", "repro", str(PIPELINE)], check=False)  # noqa: S603 - fixed program
    if run.returncode:
        raise typer.Exit(run.returncode)
    Console(highlight=False, markup=False).print(*repeats_tables(Path()))

"""The commands `sweep prepare`, `sweep show` and `sweep apply`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)

SweepName = Annotated[str, typer.Argument(metavar="NAME", help="The sweep of sweep/NAME.yaml.")]


@app.command()
def prepare(
    name: SweepName,
    check: Annotated[bool, typer.Option("--check", help="Only check and count; leave sweep/dvc.yaml alone.")] = False,
) -> None:
    """Check a sweep and put it into sweep/dvc.yaml.

    The settings of its trials are listed, as far as they are known beforehand, and what they will cost.
    """
    from rich.console import Console

    from reprotune.sweep import pipeline
    from reprotune.sweep.definition import read_sweep
    from reprotune.sweep.findings.terminal import budget_lines, settings_table

    sweep = read_sweep(name)
    console = Console(highlight=False, markup=False)
    if (table := settings_table(sweep)) is not None:
        console.print(table)
    for line in budget_lines(sweep):
        console.print(line, soft_wrap=True)
    if not check:
        changed = pipeline.prepare(Path(), name)
        state = "written" if changed else "as it should be"
        next_step = f"dvc repro {pipeline.PIPELINE}:sweep_report@{name}"
        console.print(f"{pipeline.PIPELINE}: {state}; next: {next_step}", soft_wrap=True)


@app.command()
def show(name: SweepName) -> None:
    """Show what a sweep has found."""
    from rich.console import Console

    from reprotune.sweep.artifact import FOLDER, read_trials
    from reprotune.sweep.definition import read_sweep
    from reprotune.sweep.findings.outcome import outcome
    from reprotune.sweep.findings.terminal import effects_table, result_lines, trials_table

    written = read_trials(read_sweep(name), FOLDER / name)
    found = outcome(written)
    console = Console(highlight=False, markup=False)
    console.print(trials_table(written))
    console.print(effects_table(found))
    for line in result_lines(written, found):
        console.print(line, soft_wrap=True)


@app.command()
def apply(
    name: SweepName,
    trial: Annotated[
        int | None,
        typer.Option("--trial", help="This trial, whatever it has come to; by default the winner, if it is better."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Set the params of a sweep's winner in params.yaml.

    Your other settings, comments and layout stay. Unless a trial is named, the winner must be shown to be better than
    the params that the sweep compared it with.
    """
    from reprotune.params.presets import apply_values
    from reprotune.params.values import PARAMS_FILE
    from reprotune.sweep.artifact import FOLDER, read_trials
    from reprotune.sweep.definition import read_sweep
    from reprotune.sweep.findings.outcome import applied, chosen, outcome
    from reprotune.untrusted import visible

    written = read_trials(read_sweep(name), FOLDER / name)
    number = chosen(written, outcome(written), trial)
    application = apply_values(applied(written, number))
    for change in application.changes:
        print(visible(str(change)))
    if dry_run:
        print(f"{PARAMS_FILE}: not changed (--dry-run)")
        return
    application.write()
    if application.changes:
        print(f"{PARAMS_FILE}: trial {number} of sweep {name} applied; next: dvc repro")
    else:
        print(f"{PARAMS_FILE}: already as trial {number} of sweep {name} has it")

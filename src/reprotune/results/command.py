"""The command `summary`."""

from pathlib import Path

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def summary() -> None:
    """Show scores, validation loss and time per stage.

    Scores come with their uncertainty; times are those of each stage's latest run on this machine.
    """
    from rich.console import Console

    from reprotune.results.terminal import summary as tables

    Console().print(tables(Path()))

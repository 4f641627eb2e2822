"""The command `summary`."""

from pathlib import Path

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def summary() -> None:
    """Show scores, validation loss and time per stage.

    Scores come with their uncertainty; times are those of the latest runs on this machine.
    """
    from rich.console import Console

    from reprotune.results.terminal import summary_table

    Console().print(summary_table(Path()))

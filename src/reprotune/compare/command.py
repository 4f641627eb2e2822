"""The commands `compare`, `gate` and `opponent`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def compare(
    rev: Annotated[
        str, typer.Argument(metavar="REV", help="A branch, tag, commit, experiment, or folder of another checkout.")
    ],
    rev2: Annotated[str, typer.Argument(metavar="[REV2]", help="Compared with REV.")] = "workspace",
    markdown: Annotated[Path | None, typer.Option(help="Also write Markdown, for a pull request.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page with every row.")] = None,
    threshold: Annotated[float, typer.Option(help="Points of score beyond which a row is a flip.", min=0)] = 25.0,
) -> None:
    """Compare the results of two revisions.

    Shows the differences in params, scores (tested row by row), flipped rows, losses and data. Artifacts are read
    through Git and DVC; the workspace stays as it is.
    """
    from rich.console import Console

    from reprotune.artifacts import write_text
    from reprotune.compare.comparison import compare as compare_snapshots
    from reprotune.compare.markdown import comparison_markdown
    from reprotune.compare.page import comparison_page
    from reprotune.compare.snapshot import read_snapshot
    from reprotune.compare.terminal import print_comparison

    comparison = compare_snapshots(read_snapshot(rev), read_snapshot(rev2), threshold)
    if markdown is not None:
        write_text(markdown, comparison_markdown(comparison))
    if html is not None:
        write_text(html, comparison_page(comparison))
    print_comparison(comparison, Console(highlight=False, markup=False))


@app.command()
def gate(
    against: Annotated[
        str | None, typer.Option(metavar="REV", help="The revision to compare with, named as for `compare`.")
    ] = None,
    rules: Annotated[Path, typer.Option(help="The file with the rules.")] = Path("gate.yaml"),
) -> None:
    """Check the workspace's results against gate.yaml.

    The exit code is 1 unless every rule is kept. A rule fails if it is broken, if the rows are too few to tell, or if
    it compares what cannot be compared; results that were not made from what is checked out fail, too. Rules on
    changes are checked only with --against.
    """
    from rich.console import Console

    from reprotune.compare.comparison import compare as compare_snapshots
    from reprotune.compare.gate import (
        check_changes,
        check_limits,
        check_names,
        check_stale,
        failures,
        gate_table,
        read_rules,
    )
    from reprotune.compare.snapshot import read_snapshot

    wanted, here = read_rules(rules), read_snapshot("workspace")
    check_names(wanted, here)
    there = None if against is None else read_snapshot(against)
    comparison = None if there is None else compare_snapshots(there, here)
    sides = [side for side in (there, here) if side is not None]
    outcomes = [*check_stale(sides), *check_changes(wanted, comparison), *check_limits(wanted, here)]
    Console(highlight=False, markup=False).print(gate_table(outcomes))
    found = failures(outcomes)
    for sentence in found:
        print(f"{rules}: {sentence}", file=sys.stderr)
    if found:
        raise typer.Exit(1)


@app.command()
def opponent(
    rev: Annotated[str, typer.Argument(metavar="REV", help="The revision, named as for `compare`.")],
    model: Annotated[str, typer.Option(help="Whose answers: finetuned or base.")] = "finetuned",
    output: Annotated[
        Path | None, typer.Option(help="The file to write.  [default: opponents/MODEL-COMMIT.json]")
    ] = None,
) -> None:
    """Write a revision's answers to a file.

    `judge.against` can name the file, and so can `export-alpaca-eval`. Commit it: a branch moves, the file does not.
    The answers are read through Git and DVC; the workspace stays as it is.
    """
    from reprotune.artifacts import write_json
    from reprotune.compare.opponent import opponent_outputs
    from reprotune.console import counted

    name, rows = opponent_outputs(rev, model)
    path = output or Path("opponents") / f"{name.replace('@', '-')}.json"
    write_json(path, rows)
    print(f"{path}: {counted(len(rows), 'answer')} of {name}")

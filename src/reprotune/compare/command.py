"""The commands `compare` and `gate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def compare(
    rev: Annotated[str, typer.Argument(metavar="REV", help="A branch, tag, commit, or folder of another checkout.")],
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
    against: Annotated[str | None, typer.Option(metavar="REV", help="The revision to compare with.")] = None,
    rules: Annotated[Path, typer.Option(help="The file with the rules.")] = Path("gate.yaml"),
) -> None:
    """Check the workspace's results against gate.yaml.

    The exit code is 1 if a rule is broken. Rules on changes are checked only with --against.
    """
    from rich.console import Console

    from reprotune.compare.comparison import compare as compare_snapshots
    from reprotune.compare.gate import BROKEN, check_changes, check_limits, gate_table, read_rules
    from reprotune.compare.snapshot import read_snapshot

    wanted, here = read_rules(rules), read_snapshot("workspace")
    comparison = None if against is None else compare_snapshots(read_snapshot(against), here)
    outcomes = [*check_changes(wanted, comparison), *check_limits(wanted, here)]
    Console(highlight=False, markup=False).print(gate_table(outcomes))
    broken = sum(outcome.state == BROKEN for outcome in outcomes)
    if broken:
        print(f"{rules}: {broken} of {len(outcomes)} rules are broken", file=sys.stderr)
        raise typer.Exit(1)

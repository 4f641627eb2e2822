# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast
"""The command `reprotune`: what stands beside `dvc repro`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from reprotune.errors import UserError


class Commands(TyperGroup):
    """Turns a `UserError` into its sentence on standard error and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Reproducible instruction fine-tuning. The pipeline itself runs with `dvc repro`; these commands prepare it "
    "and show its results. Run them from the folder that holds params.yaml.",
)
preset_app = typer.Typer(no_args_is_help=True, help="List, show or apply ready-made params.")
app.add_typer(preset_app, name="preset")

PresetName = Annotated[str, typer.Argument(metavar="NAME", help="A name from `reprotune preset list`.")]


@app.command()
def summary() -> None:
    """Show scores, validation loss and the time of each stage."""
    from rich.console import Console

    from reprotune.results.terminal import summary_table

    Console().print(summary_table(Path()))


@app.command()
def params(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Explain every key of params.yaml."""
    from reprotune.params.reference import markdown_table, print_reference

    if markdown:
        print(markdown_table(), end="")
    else:
        print_reference()


@app.command()
def deps(
    fix: Annotated[bool, typer.Option("--fix/--check", help="Rewrite dvc.yaml, or only compare (default).")] = False,
) -> None:
    """Check the deps in dvc.yaml against the code.

    DVC re-runs a stage when one of its deps changes, so a missing dep means stale results and a needless one means
    wasted runs. Used are the modules that a stage imports, directly or not, and the local files that params.yaml names.
    """
    from reprotune.pipeline.deps import compare, mend
    from reprotune.pipeline.dvc_yaml import DVC_YAML

    findings = mend(Path()) if fix else compare(Path())
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{DVC_YAML}: the deps of every stage are exactly the files it uses")
    elif fix:
        print(f"{DVC_YAML}: mended")
    else:
        print(f"{DVC_YAML}: run `reprotune deps --fix` to mend it", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def pairwise(
    first: Annotated[Path, typer.Argument(help="Responses of the baseline (a Parquet file of the generate stage).")],
    second: Annotated[Path, typer.Argument(help="Responses of the candidate.")],
    records: Annotated[Path, typer.Option(help="The records that both answer.")] = Path("data/split/test.parquet"),
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two models' answers pair by pair, by the judge that params.yaml names.

    A judge sees both orders of every pair and asks nothing twice. With `judge.backend: offline` the offline composite
    decides.
    """
    import json

    from reprotune.judging.answers import read_answers
    from reprotune.judging.pairs import pair_lines, summarise_pairs
    from reprotune.judging.run import compare_answers, opened_judge
    from reprotune.params.sections.judge import JudgeParams

    judge_params = JudgeParams.load("judge")
    answers = read_answers(records, {"baseline": first, "candidate": second})
    with opened_judge(judge_params) as judge:
        found = summarise_pairs(compare_answers(answers, judge_params, judge))
    print(json.dumps(found, indent=2) if json_output else "\n".join(pair_lines(found)))


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="JSON list of objects: instruction, input, output and an answer.")],
    answer: Annotated[str, typer.Option(help="Field that holds the answer.")] = "answer",
    labels: Annotated[str, typer.Option(help="Labels 0..100: a JSON list in a file, or a field of FILE.")] = "label",
    scores: Annotated[list[str] | None, typer.Option(help="Scores to compare: a file or a field; repeatable.")] = None,
    judge: Annotated[bool, typer.Option("--judge", help="Score by the judge of params.yaml.")] = False,
    mapping: Annotated[Path | None, typer.Option(help="Apply this stored mapping to the scores first.")] = None,
    fit: Annotated[str | None, typer.Option(help="Fit a mapping to the labels: isotonic or ridge.")] = None,
    output: Annotated[Path, typer.Option(help="Where --fit stores it.")] = Path("calibration.json"),
) -> None:
    """Compare scores with labels: of a judge, of a person, or by default of the offline composite.

    Prints Pearson, Spearman and Kendall correlations, the mean absolute error, Cohen's kappa of five grades with
    quadratic weights, the mean bias, and how far errors follow the answers' length.
    """
    from reprotune.judging.labels.labelled import run_calibration
    from reprotune.params.sections.judge import JudgeParams

    judge_params = JudgeParams.load("judge") if judge else None
    for line in run_calibration(file, answer, labels, scores or [], judge_params, mapping, fit, output):
        print(line)


@app.command()
def plan(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show which stages `dvc repro` will run, and why.

    `maybe`: a stage above runs, and this one follows if the outputs there really change. A stage that ran before with
    the same inputs is restored from DVC's cache instead.
    """
    import json

    from rich.console import Console

    from reprotune.pipeline.plan import make_plan, plan_conclusion, plan_json, plan_table

    stages = make_plan(Path())
    if as_json:
        print(json.dumps(plan_json(stages), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False, markup=False)
        console.print(plan_table(stages))
        console.print(plan_conclusion(stages))


@app.command()
def compare(
    rev: Annotated[str, typer.Argument(metavar="REV", help="A branch, tag, commit, or folder of another checkout.")],
    rev2: Annotated[str, typer.Argument(metavar="[REV2]", help="Compared with REV.")] = "workspace",
    markdown: Annotated[Path | None, typer.Option(help="Also write Markdown, for a pull request.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one HTML page with every row.")] = None,
    threshold: Annotated[float, typer.Option(help="Points of score that make a row a flip.", min=0)] = 25.0,
) -> None:
    """Compare two revisions: params, scores row by row, flipped rows, loss, data.

    Reads artifacts through Git and DVC; the workspace stays as it is.
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
    against: Annotated[str | None, typer.Option(metavar="REV", help="What to compare with.")] = None,
    rules: Annotated[Path, typer.Option(help="The file of rules.")] = Path("gate.yaml"),
) -> None:
    """Check the workspace's results against gate.yaml; exit code 1 when a rule is broken."""
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


@preset_app.command("list")
def list_all() -> None:
    """List the presets, one line each."""
    from reprotune.params.presets import list_presets

    presets = list_presets()
    width = max(len(preset.name) for preset in presets)
    for preset in presets:
        print(f"{preset.name:{width}}  {preset.description}")


@preset_app.command()
def show(name: PresetName) -> None:
    """Print what a preset sets, relative to the defaults."""
    from reprotune.params.presets import preset_text

    print(preset_text(name), end="")


@preset_app.command()
def apply(name: PresetName) -> None:
    """Rewrite params.yaml under a preset.

    The file is reset to the defaults, then the preset's keys are set; comments and layout stay.
    """
    from reprotune.params.presets import apply_preset
    from reprotune.params.values import PARAMS_FILE

    changes = apply_preset(name, PARAMS_FILE)
    for change in changes:
        print(change)
    print(f"{PARAMS_FILE}: " + (f"preset {name} applied; next: dvc repro" if changes else f"already preset {name}"))


if __name__ == "__main__":
    app()

"""The commands `plan` and `deps`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def plan(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless every stage is up to date.")] = False,
) -> None:
    """Show which stages `dvc repro` will run, and why.

    `maybe` means that a stage upstream runs, and that this one follows if the outputs there really change. A stage
    that has run with the same inputs before is restored from DVC's cache instead. No stage runs while a key or value in
    params.yaml is wrong: all such faults are named, and the exit code is 1.

    With --check the exit code is 1 if any stage runs or may run, 0 otherwise: it proves that dvc.lock belongs to the
    code, params and data that are checked out. Data that is merely missing in this clone is no reason to run.
    """
    from rich.console import Console

    from reprotune.errors import UserError
    from reprotune.pipeline.plan import CURRENT, make_plan, params_fault, plan_conclusion, plan_json, plan_table
    from reprotune.pipeline.settings import has_remote

    stages, fault = make_plan(Path()), params_fault(Path())
    if as_json:
        print(json.dumps(plan_json(stages), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False, markup=False)
        console.print(plan_table(stages))
        conclusion = plan_conclusion(stages, refused=fault is not None, remote=has_remote(Path()))
        console.print(conclusion, soft_wrap=True)  # commands can be copied
    if fault is not None:
        raise UserError(fault)
    if check and any(stage.state != CURRENT for stage in stages):
        print("dvc.lock is out of date: run `dvc repro`, then commit dvc.lock and metrics/", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def deps(
    fix: Annotated[bool, typer.Option("--fix/--check", help="Rewrite dvc.yaml, or only compare (default).")] = False,
) -> None:
    """Check the deps in dvc.yaml against the code.

    DVC re-runs a stage when one of its deps changes, so a missing dep means stale results, and a needless one means
    needless runs. A stage needs the modules that it imports, directly or not, and the local files that params.yaml
    names.
    """
    from reprotune.pipeline.deps import check_deps, fix_deps
    from reprotune.pipeline.dvc_yaml import DVC_YAML

    findings = fix_deps(Path()) if fix else check_deps(Path())
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{DVC_YAML}: the deps of every stage are exactly the files it uses")
    elif fix:
        print(f"{DVC_YAML}: fixed")
    else:
        print(f"{DVC_YAML}: run `reprotune deps --fix` to fix it", file=sys.stderr)
        raise typer.Exit(1)

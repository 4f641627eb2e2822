"""What `dvc repro` will run, and why: every stage in the order of the graph.

`dvc repro --dry` names only the stages whose own inputs changed, and fails in a clone without data. This plan asks DVC
for the state of each dep and out, names the change (a param's old and new value, a module, an input), and marks the
stages below as `maybe`: they run if the outputs above them really change.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich import box
from rich.table import Table
from rich.text import Text

from reprotune.errors import UserError
from reprotune.review.params_diff import param_changes
from reprotune.review.report_text import visible

CODE = ("src/", "stages/")
RUN, MAYBE, CURRENT = "run", "maybe", "up to date"
STYLES = {RUN: "bold yellow", MAYBE: "yellow", CURRENT: "dim"}
SHOWN_REASONS = 8
NOT_HERE = ("deleted", "not in cache")
"""DVC's words for data that dvc.lock knows and this clone lacks."""


@dataclass(frozen=True)
class Reason:
    """Why a stage runs: `kind` is `new`, `command`, `param`, `code`, `data`, `output` or `upstream`."""

    kind: str
    text: str


@dataclass(frozen=True)
class StagePlan:
    """What will happen to one stage."""

    name: str
    state: str
    """`run`, `maybe` (a stage above it runs) or `up to date`."""
    reasons: list[Reason]
    not_here: list[str]
    """Unchanged inputs and outputs that this clone lacks; `dvc pull` brings them."""


def make_plan(root: Path) -> list[StagePlan]:
    """Return the plan of the pipeline at `root`; raises `UserError` where DVC cannot read it."""
    try:
        with Repo(str(root)) as repo:
            return _plan_stages(repo)
    except DvcException as error:
        raise UserError(f"DVC cannot read the pipeline: {' '.join(str(error).split())}") from error


def plan_json(plan: list[StagePlan]) -> dict[str, Any]:
    """Return the plan ready for JSON."""
    return {"stages": [asdict(stage) for stage in plan]}


def plan_table(plan: list[StagePlan]) -> Table:
    """Return the plan as a table for the terminal."""
    table = Table(box=box.ROUNDED)
    table.add_column("Stage", no_wrap=True)
    table.add_column("Plan", no_wrap=True)
    table.add_column("Why")
    for stage in plan:
        reasons = [reason.text for reason in stage.reasons]
        if len(reasons) > SHOWN_REASONS:
            reasons = [*reasons[:SHOWN_REASONS], f"and {len(reasons) - SHOWN_REASONS} more"]
        if stage.not_here and stage.state != RUN:
            reasons.append("unchanged, but not all of its data are here")
        state = "RUN" if stage.state == RUN else stage.state
        table.add_row(stage.name, Text(state, STYLES[stage.state]), Text(visible("\n".join(reasons))))
    return table


def plan_conclusion(plan: list[StagePlan]) -> str:
    """Return what the plan comes to, and the command that carries it out."""
    count = {state: sum(stage.state == state for stage in plan) for state in STYLES}
    if not count[RUN]:
        text = "Nothing has to run."
    else:
        text = f"{count[RUN]} of {len(plan)} stages will run"
        text += f", {count[MAYBE]} more if the outputs above them change." if count[MAYBE] else "."
    if any(stage.not_here for stage in plan):
        return f"{text} Some data are merely not here: use `dvc repro --pull --allow-missing`."
    return f"{text} Next: `dvc repro`." if count[RUN] else text


def _plan_stages(repo: Any) -> list[StagePlan]:
    stages = list(repo.index.stages)
    needed = {stage: list(repo.index.graph.successors(stage)) for stage in stages}
    locked_outs = {out.fs_path: out.hash_info for stage in stages for out in stage.outs}
    plans: dict[Any, StagePlan] = {}
    for stage in TopologicalSorter(needed).static_order():
        not_here: list[str] = []
        reasons = [*_own_reasons(stage, locked_outs, not_here)]
        moving = [above.addressing for above in needed[stage] if plans[above].state != CURRENT]
        state = RUN if reasons else MAYBE if moving else CURRENT
        if state == MAYBE:
            reasons = [Reason("upstream", f"after {', '.join(sorted(moving))}")]
        plans[stage] = StagePlan(stage.addressing, state, reasons, not_here)
    return list(plans.values())


def _own_reasons(stage: Any, locked_outs: dict[str, Any], not_here: list[str]) -> Iterator[Reason]:
    """Yield why the stage runs whatever the others do; what merely lacks is added to `not_here`."""
    if not any(item.hash_info for item in [*stage.deps, *stage.outs]):
        yield Reason("new", "never run: dvc.lock does not know it")
        return
    if stage.cmd_changed:
        yield Reason("command", "its command changed")
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            changes = param_changes(dep.hash_info.value or {}, dep.read_params())
            yield from (Reason("param", str(change)) for change in changes)
        else:
            yield from _dep_reasons(dep, locked_outs, not_here)
    for out in stage.outs:
        status = out.status().get(str(out))
        if status in NOT_HERE and out.hash_info:
            not_here.append(str(out))
        elif status:
            yield Reason("output", f"output {out} is {_worded(status)} (restored where the cache has it)")


def _dep_reasons(dep: Any, locked_outs: dict[str, Any], not_here: list[str]) -> Iterator[Reason]:
    name = str(dep)
    kind = "code" if name.startswith(CODE) else "data"
    status = dep.status().get(name)
    if status is None:
        return
    made_here = any(dep.fs_path == path or dep.fs_path.startswith(f"{path}/") for path in locked_outs)
    if status == "deleted" and made_here:
        if dep.fs_path in locked_outs and dep.hash_info != locked_outs[dep.fs_path]:
            yield Reason(kind, f"{name}: changed")
        elif name not in not_here:
            not_here.append(name)
    else:
        yield Reason(kind, f"{name}: {_worded(status)}")


def _worded(status: str) -> str:
    return {"modified": "changed", "deleted": "removed"}.get(status, status)

"""What `dvc repro` will run, and why: every stage in the order of the graph.

`dvc repro --dry` names only the stages whose own inputs changed, and fails in a clone without data. This plan compares
each dep, param and out with dvc.lock, names the change (a param's old and new value, a module, an input), and marks the
stages downstream as `maybe`: they run if their inputs really change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from reprotune.errors import UserError
from reprotune.params.differences import param_changes
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE, read_document
from reprotune.pipeline.deps import files_named_in_params
from reprotune.pipeline.dvc_yaml import CODE, DVC_YAML, LockedStage, PipelineStage, read_pipeline
from reprotune.pipeline.hashes import Hashes
from reprotune.untrusted import visible

RUN, MAYBE, CURRENT = "run", "maybe", "up to date"
STYLES = {RUN: "bold yellow", MAYBE: "yellow", CURRENT: "dim"}
SHOWN_REASONS = 8
PUBLISHING = ("report",)
"""Stages that only publish results: no score, loss or answer comes from them."""


@dataclass(frozen=True)
class Reason:
    """Why a stage runs: `kind` is `new`, `command`, `param`, `code`, `data`, `output` or `upstream`.

    Or why it cannot: `unfollowed` (dvc.yaml lacks a dep), `unneeded` (one that is gone is still listed there) or
    `absent` (a file that is needed is gone).
    """

    kind: str
    text: str


@dataclass(frozen=True)
class StagePlan:
    """What will happen to one stage."""

    name: str
    state: str
    """`run`, `maybe` (a stage upstream runs) or `up to date`."""
    reasons: list[Reason]
    not_here: list[str]
    """Unchanged inputs and outputs that are missing in this clone, and that no stage of this plan makes anew."""


def make_plan(root: Path) -> list[StagePlan]:
    """Return the plan for the pipeline at `root`; raises `UserError` if it cannot be read."""
    stages = {stage.name: stage for stage in read_pipeline(root)}
    makers = {out: stage.name for stage in stages.values() for out in stage.outs}
    needed = {name: [maker for out, maker in makers.items() if _reads(stage, out)] for name, stage in stages.items()}
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        raise UserError(
            f"{DVC_YAML}: the stages {', '.join(sorted(set(error.args[1])))} form a cycle: remove it"
        ) from error
    hashes = Hashes(root)
    named = _named_files(root)
    unfollowed = _unfollowed(named, stages)
    locked_outs = {out: stage.locked.hashes.get(out) for stage in stages.values() if stage.locked for out in stage.outs}
    plans: dict[str, StagePlan] = {}
    remade: set[str] = set()
    for name in order:
        not_here: list[str] = []
        own = _own_reasons(root, stages[name], hashes, locked_outs, not_here)
        reasons = [*unfollowed.get(name, []), *_gone(root, stages[name], makers, named.get(name, [])), *own]
        moving = [above for above in needed[name] if plans[above].state != CURRENT]
        state = RUN if reasons else MAYBE if moving else CURRENT
        if state == MAYBE:
            reasons = [Reason("upstream", f"after {', '.join(sorted(set(moving)))}")]
        remade |= set(stages[name].outs) if state == RUN else set()  # DVC deletes them first, also where the run failed
        absent = [path for path in not_here if not any(_overlap(path, out) for out in remade)]
        plans[name] = StagePlan(name, state, reasons, absent)
    hashes.save()
    return list(plans.values())


def changes_since_run(root: Path) -> list[str]:
    """Return what has changed at `root` since its results were made; empty if they are those of what is there now.

    Raises `UserError` if that cannot be told.
    """
    reasons = [
        # a new or removed stage or command says nothing without the stage's name; a param or a file does
        reason.text if reason.kind in ("param", "code", "data") else f"{stage.name}: {reason.text}"
        for stage in make_plan(root)
        if stage.state == RUN and stage.name not in PUBLISHING
        for reason in stage.reasons
    ]
    return list(dict.fromkeys(reasons))


def plan_json(plan: list[StagePlan]) -> dict[str, Any]:
    """Return the plan as JSON values."""
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
            reasons.append("unchanged, but some of its data is missing here")
        state = "RUN" if stage.state == RUN else stage.state
        table.add_row(stage.name, Text(state, STYLES[stage.state]), Text(visible("\n".join(reasons))))
    return table


def params_fault(root: Path) -> str | None:
    """Return the sentence that names every fault in params.yaml, because of which no stage runs; None without any."""
    try:
        Document.read(root / PARAMS_FILE)
    except UserError as error:
        return str(error)
    return None


def plan_conclusion(plan: list[StagePlan], refused: bool = False, remote: bool = True) -> str:
    """Return the plan in one line, and the command that carries it out.

    `refused`: a param is wrong, so none can. `remote`: there is one that data can be pulled from.
    """
    count = {state: sum(stage.state == state for stage in plan) for state in STYLES}
    if not count[RUN]:
        text = "Nothing has to run."
    else:
        text = f"{count[RUN]} of {len(plan)} stages will run"
        text += f", {count[MAYBE]} more if their inputs change." if count[MAYBE] else "."
    kinds = {reason.kind for stage in plan for reason in stage.reasons}
    if refused:
        return f"{text} None can before {PARAMS_FILE} is right." if count[RUN] else text
    if "absent" in kinds:
        return f"{text} DVC stops at the missing file: restore it, or correct what names it."
    steps = ["`reprotune deps --fix`"] if kinds & {"unfollowed", "unneeded"} else []
    if any(stage.not_here for stage in plan):
        if remote:
            text += " Some unchanged data is missing here (`dvc checkout` restores what the cache has)."
            steps.append("`dvc repro --pull --allow-missing`")
        else:
            text += " Some unchanged data is missing here, and DVC has no remote to pull it from"
            text += " (`dvc checkout` restores what the cache has, `dvc repro` makes the rest again)."
            steps.append("`dvc repro`")
    elif count[RUN]:
        steps.append("`dvc repro`")
    return f"{text} Next: {', then '.join(steps)}." if steps else text


def _reads(stage: PipelineStage, out: str) -> bool:
    """Tell whether a dep of the stage is `out`, is inside it or contains it."""
    return any(_overlap(dep, out) for dep in stage.deps)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _named_files(root: Path) -> dict[str, list[str]]:
    """Return the local files that params.yaml names, by stage; none where it is wrong, as `params_fault` says."""
    try:
        return files_named_in_params(root)
    except UserError:
        return {}


def _gone(root: Path, stage: PipelineStage, makers: Mapping[str, str], named: list[str]) -> Iterator[Reason]:
    """Yield the deps that are not there and that no stage makes: DVC refuses to run the stage."""
    for dep in stage.deps:
        if (root / dep).exists() or _added(root, dep) or any(_overlap(dep, out) for out in makers):
            continue
        if dep in named:
            yield Reason("absent", f"{dep}: there is no such file, but {PARAMS_FILE} names it")
        elif dep.startswith("data/"):  # written by hand, and left alone by `reprotune deps --fix`
            yield Reason("absent", f"{dep}: there is no such file, but {DVC_YAML} lists it")
        else:
            yield Reason("unneeded", f"{dep}: removed, but {DVC_YAML} still lists it")


def _unfollowed(named: Mapping[str, list[str]], stages: dict[str, PipelineStage]) -> dict[str, list[Reason]]:
    """Return, by stage, the local input that params.yaml names and dvc.yaml does not: the stage refuses to run."""
    return {
        name: [Reason("unfollowed", f"params.yaml names {path}, which is not among its deps: it will refuse to run")]
        for name, paths in named.items()
        for path in paths
        if name in stages and path not in stages[name].deps
    }


def _own_reasons(
    root: Path, stage: PipelineStage, hashes: Hashes, locked_outs: dict[str, str | None], not_here: list[str]
) -> Iterator[Reason]:
    """Yield why the stage runs whatever the others do; adds unchanged files that are missing to `not_here`."""
    locked = stage.locked
    if locked is None:
        yield Reason("new", "never run: it is not in dvc.lock")
        return
    if stage.cmd != locked.cmd:
        yield Reason("command", "its command changed")
    for file, keys in stage.params.items():
        changes = param_changes(locked.params.get(file, {}), _values(read_document(root / file), keys))
        yield from (Reason("param", str(change)) for change in changes)
    for dep in stage.deps:
        found = None if hashes.are_part(dep, locked.hashes.get(dep)) else hashes.of(dep)
        added = _added(root, dep) if found is None else None
        yield from _dep_reasons(dep, found, locked, locked_outs | ({dep: added} if added else {}), not_here)
    for out in stage.outs:
        found, wanted = hashes.of(out), locked.hashes.get(out)
        if wanted and (found is None or hashes.are_part(out, wanted)):
            not_here.append(out)
        elif found != wanted:
            yield Reason("output", f"output {out} is {'changed' if wanted else 'new'} (restored if the cache has it)")


def _added(root: Path, dep: str) -> str | None:
    """Return the hash of a file that `dvc add` put under DVC's care, which a fresh clone does not have; else null."""
    note = root / f"{dep}.dvc"
    if not note.is_file():
        return None
    document = read_document(note)
    outs = document.get("outs") if isinstance(document, dict) else None
    entry = outs[0] if isinstance(outs, list) and outs else None
    return str(entry["md5"]) if isinstance(entry, dict) and "md5" in entry else None


def _dep_reasons(
    dep: str, found: str | None, locked: LockedStage, locked_outs: dict[str, str | None], not_here: list[str]
) -> Iterator[Reason]:
    kind = "code" if dep.startswith(CODE) else "data"
    wanted = locked.hashes.get(dep)
    if found is not None:
        if found != wanted:
            yield Reason(kind, f"{dep}: {'changed' if wanted else 'new'}")
    elif not any(dep == out or dep.startswith(f"{out}/") for out in locked_outs):
        return  # `_gone` says so, or a stage makes it that has never run
    elif dep in locked_outs and wanted != locked_outs[dep]:
        yield Reason(kind, f"{dep}: changed")
    elif dep not in not_here:
        not_here.append(dep)


def _values(document: Any, keys: list[str]) -> dict[str, Any]:
    """Return the values of the dotted keys that exist; without keys, the whole document."""
    if not keys:
        return dict(document)
    values = {}
    for key in keys:
        value = document
        for name in key.split("."):
            value = value.get(name, KeyError) if isinstance(value, dict) else KeyError
        if value is not KeyError:
            values[key] = value
    return values

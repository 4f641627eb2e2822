"""The deps of every stage, in dvc.yaml and in pipelines beside it, checked against what code and params.yaml need.

`check_deps` finds the differences, and `fix_deps` edits each file line by line, so that comments and layout stay. Code
deps (under `src/` and `stages/`) are the import closure; a local file named in params.yaml (a dataset, a base model, a
template) is a dep of the stage that reads it; all other deps are data and are left alone.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from reprotune.artifacts import write_text
from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.values import PARAMS_FILE, read_document
from reprotune.pipeline.closure import stage_closure
from reprotune.pipeline.dvc_yaml import CODE, DVC_YAML, dep_path, expanded_stages

SLOT = re.compile(r"\$\{item\.(source(?:_\d+)?)\}")
"""A dep of a `foreach` that each of its items fills with a file of its own."""


@dataclass(frozen=True, order=True)
class Finding:
    """One difference between dvc.yaml and what a stage needs."""

    stage: str
    problem: str
    """`missing` or `needless`."""
    dep: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.problem} dep {self.dep}"


def check_deps(root: Path) -> list[Finding]:
    """Return the differences, sorted; raises `UserError` if a pipeline or params.yaml cannot be read."""
    return [finding for file in pipeline_files(root) for finding in _findings(root, file)]


def pipeline_files(root: Path) -> list[str]:
    """Return dvc.yaml and those in the folders beside it, which plain `dvc repro` does not run, from `root`.

    The stages of the others work in `root`, too (`wdir: ..`).
    """
    return [DVC_YAML, *sorted(path.relative_to(root).as_posix() for path in root.glob(f"*/{DVC_YAML}"))]


def _findings(root: Path, file: str) -> list[Finding]:
    return sorted(finding for stage in _read_stages(root, file) for finding in _stage_findings(stage, root))


def fix_deps(root: Path) -> list[Finding]:
    """Edit the pipelines so that `check_deps` finds nothing; returns what was wrong.

    Raises `UserError`, with the file at fault as it was, where that cannot be done.
    """
    _check_apart(root)
    return [finding for file in pipeline_files(root) for finding in _fix(root, file)]


def _fix(root: Path, file: str) -> list[Finding]:
    edits: list[_Edit] = []
    findings: list[Finding] = []
    for stage in _read_stages(root, file):
        found = list(_stage_findings(stage, root))
        findings += found
        edits += _edits(stage, found)
        if any(finding.stage != stage.name for finding in found):
            edits += _slot_edits(stage, root)
    if edits:
        before = (root / file).read_text(encoding="utf-8")
        lines = before.splitlines(keepends=True)
        # from the last line up, so that line numbers stay valid; on the same line, the removal first
        for edit in sorted(edits, key=lambda edit: (edit.line, edit.removed, edit.text), reverse=True):
            lines[edit.line : edit.line + edit.removed] = [edit.text] if edit.text else []
        write_text(root / file, "".join(lines))
        if not _is_as_meant(root, file):
            write_text(root / file, before)
            names = ", ".join(sorted({repr(finding.dep) for finding in findings if finding.problem == "missing"}))
            raise UserError(f"{file} cannot name {names}: rename it, with letters, digits, dots and hyphens alone")
    return sorted(findings)


def _is_as_meant(root: Path, file: str) -> bool:
    """Tell whether a pipeline can be read and has the deps that it should have."""
    try:
        return not _findings(root, file)
    except UserError:
        return False


@dataclass(frozen=True)
class _Stage:
    """A stage as it is written in dvc.yaml."""

    name: str
    module: str
    deps: CommentedSeq
    """As written, with the lines they are on."""
    items: Any
    """What its `foreach` loops over; null for a plain stage."""
    expanded_deps: dict[str, list[str]]
    """The deps of each stage that it stands for: its own for a plain stage, one list per item of a `foreach`."""


@dataclass(frozen=True)
class _Edit:
    """Replace `removed` lines from `line` on (counted from 0) with `text`."""

    line: int
    removed: int
    text: str


def _read_stages(root: Path, file: str) -> list[_Stage]:
    read_document(root / file)  # one clear sentence for a missing or malformed file
    document = YAML().load((root / file).read_text(encoding="utf-8"))  # knows the line of every entry
    deps: dict[str, dict[str, list[str]]] = {}
    for name, definition in expanded_stages(document):
        deps.setdefault(name.partition("@")[0], {})[name] = definition.get("deps") or []
    return [_read_stage(name, body, deps.get(name, {}), file) for name, body in document["stages"].items()]


def _read_stage(name: str, body: CommentedMap, expanded_deps: dict[str, list[str]], file: str) -> _Stage:
    """Check the parts that the comparison builds on."""
    items, body = body.get("foreach"), body.get("do", body)
    command = re.match(r"python -m stages\.(\w+)", str(body.get("cmd")))
    if command is None:
        raise UserError(f"{file}: the cmd of stage {name} should be `python -m stages.<module>`")
    deps = body.get("deps")
    if not isinstance(deps, CommentedSeq) or not deps or deps.fa.flow_style():
        raise UserError(
            f"{file}: stage {name} should have its deps as a block list: start it with `- stages/{command[1]}.py`"
        )
    return _Stage(name, command[1], deps, items, expanded_deps)


def _stage_findings(stage: _Stage, root: Path) -> Iterator[Finding]:
    code = stage_closure(stage.module, root)
    for dep in sorted(code - set(stage.deps)):
        yield Finding(stage.name, "missing", dep)
    named = {name: paths for name, paths in _followed(root).items() if name in stage.expanded_deps}
    for name, paths in sorted(named.items()):
        there = [dep_path(dep, root) for dep in stage.expanded_deps[name]]
        missing = sorted(set(paths) - set(there))
        yield from (Finding(name, "missing", path) for path in missing)
        if name != stage.name and not missing:  # one that is missing takes the place of one that is not needed
            slots = [path for dep, path in zip(stage.deps, there, strict=True) if SLOT.fullmatch(dep)]
            yield from (Finding(name, "needless", path) for path in sorted(set(slots) - set(paths)))
    inputs = {path for paths in named.values() for path in paths}
    for dep in stage.deps:
        if dep_path(dep, root) not in code | inputs and not dep.startswith(("data/", "${")):
            yield Finding(stage.name, "needless", dep)


def _followed(root: Path) -> dict[str, list[str]]:
    """Return the files that dvc.yaml should list, by stage; see `Document.followed_files`."""
    document = Document.read(root / PARAMS_FILE)
    judging = [path for key, path in document.judge.files.items() if key != "against"]
    followed = document.followed_files() | ({"repeat": judging} if judging else {})
    return {stage: [dep_path(path, root) for path in paths] for stage, paths in followed.items()}


def files_named_in_params(root: Path) -> dict[str, list[str]]:
    """Return the local files and folders that params.yaml names, by the stage that reads each; see `dep_path`.

    For a pattern of names it is the folder that its files are below, since a new one has to be noticed too. Raises
    `UserError` if params.yaml is not valid.
    """
    named = Document.read(root / PARAMS_FILE).local_files()
    return {stage: [dep_path(path, root) for path in paths] for stage, paths in named.items()}


def _check_apart(root: Path) -> None:
    """Raise `UserError` where a folder of rows also holds what stages write: DVC would see a circle."""
    outs = [out for _, body in expanded_stages(read_document(root / DVC_YAML)) for out in body.get("outs") or []]
    outs = [dep_path(out if isinstance(out, str) else next(iter(out)), root) for out in outs]
    named = files_named_in_params(root)
    for what, path in [(kind, path) for kind in ("dataset", "benchmark") for path in named.get(f"fetch@{kind}", [])]:
        inside = [out for out in outs if path == "." or f"{out}/".startswith(f"{path}/") or path.startswith(f"{out}/")]
        if inside:
            raise UserError(
                f"{PARAMS_FILE}: the {what} is in {path}, where the pipeline writes {inside[0]}: put its files into a "
                "folder of their own, such as my-data/"
            )


def _edits(stage: _Stage, findings: list[Finding]) -> Iterator[_Edit]:
    """Turn a stage's findings into edits; line numbers are those of the file as it was read."""
    line_of = {dep: stage.deps.lc.item(index)[0] for index, dep in enumerate(stage.deps)}
    bullet = " " * (stage.deps.lc.item(0)[1] - 2) + "- "
    needless = {finding.dep for finding in findings if finding.problem == "needless" and finding.stage == stage.name}
    kept = [dep for dep in stage.deps if dep.startswith(CODE) and dep not in needless]
    for dep in needless:
        yield _Edit(line_of[dep], removed=1, text="")
    for finding in findings:
        if finding.problem == "needless":
            continue
        if finding.stage != stage.name:
            continue
        later = [line_of[dep] for dep in kept if dep > finding.dep]
        last = max((line_of[dep] + 1 for dep in kept), default=stage.deps.lc.item(0)[0])
        yield _Edit(min(later, default=last), removed=0, text=f"{bullet}{_written(finding.dep)}\n")


def _slot_edits(stage: _Stage, root: Path) -> Iterator[_Edit]:
    """Give the items of a `foreach` the files that each reads, in `source`, `source_2`, and so on.

    The deps name them as `${item.source}`, ... for all items alike; so an item with fewer files repeats its first.
    """
    inputs = _followed(root)
    wanted = {name.partition("@")[2]: inputs[name] for name in stage.expanded_deps if name in inputs}
    slots = [f"source{f'_{number}' * (number > 1)}" for number in range(1, max(map(len, wanted.values())) + 1)]
    for key, paths in wanted.items():
        item = stage.items.get(key) if isinstance(stage.items, CommentedMap) else None
        if not isinstance(item, CommentedMap) or "source" not in item or "${item.source}" not in stage.deps:
            raise UserError(
                f"{DVC_YAML}: {stage.name}@{key} should depend on {', '.join(paths)}: add it by hand, as `source:` of "
                "the item with the dep ${item.source}"
            )
        values = dict(zip(slots, [*paths, *[paths[0]] * (len(slots) - len(paths))], strict=True))
        indent = " " * item.lc.key("source")[1]
        for slot, value in values.items():
            if slot in item and dep_path(str(item[slot]), root) != value:
                yield _Edit(item.lc.key(slot)[0], removed=1, text=f"{indent}{slot}: {_written(value)}\n")
        new = [f"{indent}{slot}: {_written(value)}\n" for slot, value in values.items() if slot not in item]
        last = max(item.lc.key(slot)[0] for slot in slots if slot in item)
        yield _Edit(last + 1, removed=0, text="".join(new))
        for slot in [name for name in item if SLOT.fullmatch(f"${{item.{name}}}") and name not in slots]:
            yield _Edit(item.lc.key(slot)[0], removed=1, text="")
    named = [f"${{item.{slot}}}" for slot in slots]
    line_of = {dep: stage.deps.lc.item(index) for index, dep in enumerate(stage.deps) if SLOT.fullmatch(dep)}
    line, column = max(place for dep, place in line_of.items() if dep in named)
    new = [f"{' ' * (column - 2)}- {dep}\n" for dep in named if dep not in line_of]
    yield _Edit(line + 1, removed=0, text="".join(new))
    for dep in line_of.keys() - set(named):
        yield _Edit(line_of[dep][0], removed=1, text="")


def _written(path: str) -> str:
    """Return a path as YAML text; raises `UserError` if DVC would take a part of it for a variable."""
    if "${" in path:
        raise UserError(
            f"{DVC_YAML} cannot name {path!r}, because DVC fills in what stands in ${{...}}: rename the file"
        )
    plain = re.fullmatch(r"[\w./][\w./-]*", path) and YAML(typ="safe").load(path) == path  # `2024` would be a number
    return path if plain else json.dumps(path, ensure_ascii=False)

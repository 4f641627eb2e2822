"""The deps of every stage in dvc.yaml against what its code and params.yaml really need.

`compare` finds differences and `mend` edits dvc.yaml, line by line, so that comments and layout stay. Code deps (under
`src/` and `stages/`) follow the import closure; a local file named in params.yaml (a dataset, a base model, a
template) is a dep of the stage that reads it; all other deps are data and stay as they are.
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
from reprotune.params.sections.fetch import EMBEDDED_BASE, EMBEDDED_DATASET
from reprotune.params.values import PARAMS_FILE, read_document
from reprotune.pipeline.closure import stage_closure

DVC_FILE = Path("dvc.yaml")
CODE = ("src/", "stages/")


@dataclass(frozen=True, order=True)
class Finding:
    """One difference between dvc.yaml and what a stage needs."""

    stage: str
    problem: str
    """`missing` or `needless`."""
    dep: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.problem} dep {self.dep}"


def compare(root: Path) -> list[Finding]:
    """Return the differences, sorted; raises `UserError` where dvc.yaml or params.yaml cannot be understood."""
    return sorted(finding for stage in _read_stages(root) for finding in _stage_findings(stage, root))


def mend(root: Path) -> list[Finding]:
    """Edit dvc.yaml so that `compare` finds nothing, and return what was mended."""
    edits: list[_Edit] = []
    findings: list[Finding] = []
    for stage in _read_stages(root):
        found = list(_stage_findings(stage, root))
        findings += found
        edits += _edits(stage, found)
    if edits:
        lines = (root / DVC_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
        # from the last line up, so that the line numbers stay true; on one line, the removal first
        for edit in sorted(edits, key=lambda edit: (edit.line, edit.removed, edit.text), reverse=True):
            lines[edit.line : edit.line + edit.removed] = [edit.text] if edit.text else []
        write_text(root / DVC_FILE, "".join(lines))
    return sorted(findings)


@dataclass(frozen=True)
class _Stage:
    """A stage of dvc.yaml; `items` are the entries of its `foreach`, empty for a plain stage."""

    name: str
    module: str
    deps: CommentedSeq
    items: CommentedMap


@dataclass(frozen=True)
class _Edit:
    """Replace `removed` lines from `line` on (counted from 0) with `text`."""

    line: int
    removed: int
    text: str


def _read_stages(root: Path) -> list[_Stage]:
    read_document(root / DVC_FILE)  # one clear sentence for a missing or malformed file
    document = YAML().load((root / DVC_FILE).read_text(encoding="utf-8"))
    return [_read_stage(name, body) for name, body in document["stages"].items()]


def _read_stage(name: str, body: CommentedMap) -> _Stage:
    """Check the parts that the comparison builds on."""
    items = body.get("foreach", CommentedMap())
    body = body.get("do", body)
    command = re.match(r"python -m stages\.(\w+)", str(body.get("cmd")))
    if command is None:
        raise UserError(f"{DVC_FILE}: the cmd of stage {name} should be `python -m stages.<module>`")
    deps = body.get("deps")
    if not isinstance(deps, CommentedSeq) or not deps or deps.fa.flow_style():
        raise UserError(
            f"{DVC_FILE}: stage {name} should have a block list of deps: begin it with `- stages/{command[1]}.py`"
        )
    return _Stage(name, command[1], deps, items if isinstance(items, CommentedMap) else CommentedMap())


def _stage_findings(stage: _Stage, root: Path) -> Iterator[Finding]:
    named = _files_named_in_params(root)
    wanted = stage_closure(stage.module, root) | {path for name, path in named.items() if name == stage.name}
    for dep in sorted(wanted - set(stage.deps)):
        yield Finding(stage.name, "missing", dep)
    for dep in stage.deps:
        if dep not in wanted and (dep.startswith(CODE) or dep.endswith(".jinja")):
            yield Finding(stage.name, "needless", dep)
    for key, item in stage.items.items():
        path = named.get(f"{stage.name}@{key}")
        if path is not None and path not in {_expanded(dep, key, item) for dep in stage.deps}:
            yield Finding(f"{stage.name}@{key}", "missing", path)


def _files_named_in_params(root: Path) -> dict[str, str]:
    """Return the files and folders that params.yaml names, by the stage that reads each.

    A stage's dep cannot come and go, so a source on the network leaves the embedded one as the dep: it never changes.
    """
    params = Document.read(root / PARAMS_FILE)
    named = {
        "fetch@dataset": params.fetch.dataset.file or EMBEDDED_DATASET,
        "fetch@base": params.fetch.base.folder or EMBEDDED_BASE,
    }
    if params.format.template.endswith(".jinja"):
        named["format"] = Path(params.format.template).expanduser()
    return {stage: path.as_posix() for stage, path in named.items()}


def _expanded(dep: str, key: str, item: Any) -> str:
    """Fill in DVC's `${key}` and `${item.<name>}`."""
    values = {f"item.{name}": value for name, value in item.items()} if isinstance(item, dict) else {"item": item}
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str({"key": key, **values}.get(match[1], match[0])), dep)


def _edits(stage: _Stage, findings: list[Finding]) -> Iterator[_Edit]:
    """Turn a stage's findings into edits; line numbers are those of the file as it was read."""
    line_of = {dep: stage.deps.lc.item(index)[0] for index, dep in enumerate(stage.deps)}
    bullet = " " * (stage.deps.lc.item(0)[1] - 2) + "- "
    needless = {finding.dep for finding in findings if finding.problem == "needless"}
    kept = [dep for dep in stage.deps if dep.startswith(CODE) and dep not in needless]
    for dep in needless:
        yield _Edit(line_of[dep], removed=1, text="")
    for finding in findings:
        if finding.problem == "needless":
            continue
        if finding.stage != stage.name:
            yield _source_edit(stage, finding)
            continue
        later = [line_of[dep] for dep in kept if dep > finding.dep]
        last = max((line_of[dep] + 1 for dep in kept), default=stage.deps.lc.item(0)[0])
        yield _Edit(min(later, default=last), removed=0, text=f"{bullet}{finding.dep}\n")


def _source_edit(stage: _Stage, finding: Finding) -> _Edit:
    """Point the `source` of a `foreach` item, which the deps hold as `${item.source}`, at the file it is read from."""
    key = finding.stage.partition("@")[2]
    item = stage.items[key]
    if not isinstance(item, CommentedMap) or "source" not in item or "${item.source}" not in stage.deps:
        raise UserError(f"{DVC_FILE}: {finding}: add it by hand (an item `source:` and the dep `${{item.source}}`)")
    line, column = item.lc.key("source")
    path = finding.dep if re.fullmatch(r"[\w./-]+", finding.dep) else json.dumps(finding.dep, ensure_ascii=False)
    return _Edit(line, removed=1, text=f"{' ' * column}source: {path}\n")

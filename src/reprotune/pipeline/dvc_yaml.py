"""The stages of dvc.yaml and what dvc.lock knows of them, read without DVC, whose import alone takes a second.

Only what this pipeline uses of dvc.yaml is read: plain stages and `foreach` over a list or a mapping, with `${item}`,
`${item.name}` and `${key}`. Anything else is refused by name, never guessed at.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.params.values import PARAMS_FILE, read_document

DVC_YAML = "dvc.yaml"
CODE = ("src/", "stages/")
"""Where the deps that are code lie; all others are data."""

KNOWN_KEYS = {"cmd", "deps", "params", "outs", "metrics", "plots", "desc", "meta"}
MOST_SHOWN = 100
"""Longest part of a wrong entry that is shown, in characters."""
VALUE = re.compile(r"\$\{\s*(item|key)((?:\.\w+)*)\s*\}")


@dataclass(frozen=True)
class LockedStage:
    """A stage as it was when it last ran."""

    cmd: Any
    hashes: dict[str, str]
    """MD5 of each dep and out, as DVC writes it (ending in `.dir` for a folder)."""
    params: dict[str, dict[str, Any]]
    """File -> key -> value."""


@dataclass(frozen=True)
class PipelineStage:
    """A stage as dvc.yaml has it now, and as dvc.lock has it (null: never run)."""

    name: str
    cmd: Any
    deps: list[str]
    """As `dep_path` gives them."""
    outs: list[str]
    params: dict[str, list[str]]
    """File -> dotted keys; no keys mean the whole file."""
    locked: LockedStage | None


def read_pipeline(root: Path) -> list[PipelineStage]:
    """Return the stages in the order of dvc.yaml; raises `UserError` where a file cannot be read."""
    from reprotune.pipeline.lock import read_lock  # noqa: PLC0415 - stages load this module, and never read a lock

    document = _mapping(read_document(root / DVC_YAML), DVC_YAML)
    unknown = sorted(document.keys() - {"stages", "plots", "metrics", "params"}, key=str)
    if unknown:
        raise _unsupported(DVC_YAML, repr(unknown[0]))
    lock = read_lock(root)
    return [_stage(name, definition, lock.get(name), root) for name, definition in expanded_stages(document)]


def dep_path(path: str | Path, root: Path = Path()) -> str:
    """Return a path as deps are compared: normalized, and relative to `root` where it lies inside, as in dvc.lock."""
    normal = Path(os.path.normpath(path))
    if normal.is_absolute() and normal.is_relative_to(root.absolute()):
        normal = normal.relative_to(root.absolute())
    return normal.as_posix()


def running_stage() -> tuple[str, str | None]:
    """Return the pipeline file and the stage that DVC runs in this process; null where DVC does not.

    DVC names a stage of another file than dvc.yaml by that file, too: `repeats/dvc.yaml:repeat`.
    """
    file, _, stage = os.environ.get("DVC_STAGE", "").rpartition(":")
    return file or DVC_YAML, stage or None


def check_followed(key: str, path: Path | None, root: Path = Path()) -> None:
    """Raise `UserError` unless DVC follows the local file or folder that the param `key` names (null: it names none).

    DVC knows the inputs of a stage from dvc.yaml alone; without this, it would go on with what it read before whenever
    the file is edited. Does nothing in a stage that is not run by DVC.
    """
    file, stage = running_stage()
    if path is None or stage is None:
        return
    for name, definition in expanded_stages(read_document(root / file)):
        if name == stage and dep_path(path, root) not in {dep_path(dep, root) for dep in _paths(definition["deps"])}:
            raise UserError(
                f"{key} is {path}, but {file} does not list that as a dep of {stage}, so `dvc repro` would not "
                "notice an edit of it: run `reprotune deps --fix`"
            )


def stage_names(root: Path) -> list[str]:
    """Return the names of all stages in the order of dvc.yaml; raises `UserError` where it cannot be read."""
    return [name for name, _ in expanded_stages(read_document(root / DVC_YAML))]


def expanded_stages(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, definition) of every stage in a parsed dvc.yaml, a `foreach` as one stage `<name>@<key>` per item.

    Raises `UserError` where that cannot be done.
    """
    stages = _mapping(_mapping(document, DVC_YAML).get("stages"), f"{DVC_YAML}: stages")
    for name, written in stages.items():
        where = f"{DVC_YAML}: stage {name}"
        definition = _mapping(written, where)
        if "foreach" not in definition:
            yield str(name), _with_entries(definition, where)
            continue
        over, body = definition["foreach"], _mapping(definition.get("do"), f"{where}: do")
        if not isinstance(over, dict | list):
            raise _unsupported(where, "a `foreach` that is neither a list nor a mapping")
        for key, item in over.items() if isinstance(over, dict) else enumerate(over):
            shown = key if isinstance(over, dict) else item
            yield f"{name}@{shown}", _with_entries(_filled(body, {"item": item, "key": key}), where)


def _with_entries(definition: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a definition whose deps, outs and params are lists of texts, or of one text with something about it."""
    for kind in ("deps", "outs", "metrics", "plots", "params"):
        entries = definition.get(kind) or []
        if not isinstance(entries, list):
            raise UserError(f"{where}: {kind} should be a list: restore it from Git")
        wrong = [entry for entry in entries if not _is_entry(entry, list if kind == "params" else dict)]
        if wrong:
            raise UserError(f"{where}: {repr(wrong[0])[:MOST_SHOWN]} among the {kind} is none: restore it from Git")
    return definition


def _is_entry(entry: Any, about: type) -> bool:
    """Tell whether an entry is a text, or a mapping of one text (of a file of params: of any) to what is `about` it."""
    if not isinstance(entry, dict):
        return isinstance(entry, str)
    known = all(isinstance(name, str) and (value is None or isinstance(value, about)) for name, value in entry.items())
    return known and (len(entry) == 1 or (about is list and bool(entry)))


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """Put the loop's values into every text of a definition."""
    if isinstance(value, dict):
        return {_filled(key, values): _filled(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    if not isinstance(value, str):
        return value

    def looked_up(match: re.Match[str]) -> str:
        found = values[match[1]]
        for name in match[2].split(".")[1:]:
            if not isinstance(found, dict) or name not in found:
                raise UserError(f"{DVC_YAML}: {match[0]} has no value: add it to every item of the `foreach`")
            found = found[name]
        return str(found)

    return VALUE.sub(looked_up, value)


def _stage(name: str, definition: dict[str, Any], locked: Any, root: Path) -> PipelineStage:
    unknown = sorted(definition.keys() - KNOWN_KEYS, key=str)
    if unknown or "${" in str(definition):
        raise _unsupported(f"{DVC_YAML}: stage {name}", repr(unknown[0]) if unknown else "this use of ${...}")
    return PipelineStage(
        name,
        definition.get("cmd"),
        [dep_path(dep, root) for dep in _paths(definition.get("deps"))],
        [path for kind in ("outs", "metrics", "plots") for path in _paths(definition.get(kind))],
        _params(definition.get("params")),
        _locked(locked, root) if locked else None,
    )


def _locked(entry: Mapping[str, Any], root: Path) -> LockedStage:
    hashes = {dep_path(item["path"], root): item.get("md5", "") for item in [*entry["deps"], *entry["outs"]]}
    return LockedStage(entry["cmd"], hashes, entry["params"])


def _paths(entries: Any) -> list[str]:
    """Return the paths of deps or outs, each given as text or as `{path: options}`."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries or []]


def _params(entries: Any) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for entry in entries or []:
        if isinstance(entry, dict):
            for file, keys in entry.items():
                files.setdefault(file, []).extend(keys or [])
        else:
            files.setdefault(str(PARAMS_FILE), []).append(entry)
    return files


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} should be a mapping: restore it from Git")
    return value


def _unsupported(where: str, what: str) -> UserError:
    return UserError(f"{where}: the commands of Reprotune do not support {what}: do without it, or use `dvc status`")

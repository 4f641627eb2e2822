"""The stages of dvc.yaml beside what dvc.lock knows of them, read without importing DVC, which alone takes a second.

Read is what this pipeline uses of dvc.yaml: plain stages and `foreach` over a list or a mapping, with `${item}`,
`${item.name}` and `${key}`. Anything else is refused by name, never guessed at.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.params.values import read_document

DVC_YAML, DVC_LOCK, PARAMS = "dvc.yaml", "dvc.lock", "params.yaml"
KNOWN_KEYS = {"cmd", "deps", "params", "outs", "metrics", "plots", "desc", "meta"}
VALUE = re.compile(r"\$\{\s*(item|key)((?:\.\w+)*)\s*\}")


@dataclass(frozen=True)
class LockedStage:
    """What a stage was when it last ran."""

    cmd: Any
    hashes: dict[str, str]
    """MD5 of each dep and out, as DVC writes it (`....dir` for a folder)."""
    params: dict[str, dict[str, Any]]
    """File -> key -> value."""


@dataclass(frozen=True)
class PipelineStage:
    """A stage as dvc.yaml has it now, with its state in dvc.lock (null: never run)."""

    name: str
    cmd: Any
    deps: list[str]
    outs: list[str]
    params: dict[str, list[str]]
    """File -> dotted keys; no keys mean the whole file."""
    locked: LockedStage | None


def read_pipeline(root: Path) -> list[PipelineStage]:
    """Return the stages in the order of dvc.yaml; raises `UserError` where a file cannot be read."""
    document = _mapping(read_document(root / DVC_YAML), DVC_YAML)
    unknown = sorted(document.keys() - {"stages", "plots", "metrics", "params"})
    if unknown:
        raise UserError(f"{DVC_YAML}: `plan` does not know {unknown[0]!r}: use `dvc status`")
    lock = _mapping(read_document(root / DVC_LOCK), DVC_LOCK).get("stages", {}) if (root / DVC_LOCK).is_file() else {}
    stages = _mapping(document.get("stages"), f"{DVC_YAML}: stages")
    return [
        _stage(name, definition, lock.get(name))
        for given, written in stages.items()
        for name, definition in _expanded(given, _mapping(written, f"{DVC_YAML}: {given}"))
    ]


def _expanded(name: str, written: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "foreach" not in written:
        yield name, written
        return
    over = written["foreach"]
    if not isinstance(over, dict | list):
        raise UserError(f"{DVC_YAML}: {name}: `plan` reads `foreach` over a list or a mapping: use `dvc status`")
    for key, item in over.items() if isinstance(over, dict) else enumerate(over):
        shown = key if isinstance(over, dict) else item
        yield f"{name}@{shown}", _filled(written.get("do"), {"item": item, "key": key})


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
                raise UserError(f"{DVC_YAML}: {match[0]} has no value: give every item of the `foreach` one")
            found = found[name]
        return str(found)

    return VALUE.sub(looked_up, value)


def _stage(name: str, definition: Any, locked: Any) -> PipelineStage:
    definition = _mapping(definition, f"{DVC_YAML}: {name}")
    unknown = sorted(definition.keys() - KNOWN_KEYS)
    if unknown or "${" in str(definition):
        what = repr(unknown[0]) if unknown else "this use of ${...}"
        raise UserError(f"{DVC_YAML}: {name}: `plan` does not know {what}: use `dvc status`")
    return PipelineStage(
        name,
        definition.get("cmd"),
        _paths(definition.get("deps")),
        [path for kind in ("outs", "metrics", "plots") for path in _paths(definition.get(kind))],
        _params(definition.get("params")),
        _locked(locked) if locked else None,
    )


def _locked(entry: Mapping[str, Any]) -> LockedStage:
    listed = [*entry.get("deps", []), *entry.get("outs", [])]
    return LockedStage(
        entry.get("cmd"), {item["path"]: item.get("md5", "") for item in listed}, entry.get("params", {})
    )


def _paths(entries: Any) -> list[str]:
    """Return the paths of deps or outs, each a text or `{path: options}`."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries or []]


def _params(entries: Any) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for entry in entries or []:
        if isinstance(entry, dict):
            for file, keys in entry.items():
                files.setdefault(file, []).extend(keys or [])
        else:
            files.setdefault(PARAMS, []).append(entry)
    return files


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} should be a mapping: restore it with git")
    return value

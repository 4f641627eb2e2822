"""Whether results were made from what is checked out or committed: params, commands, code and data against dvc.lock."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reprotune.compare.revision import Revision
from reprotune.errors import UserError
from reprotune.params.differences import param_changes
from reprotune.pipeline.dvc_yaml import DVC_YAML, expanded_stages
from reprotune.pipeline.plan import PUBLISHING, changes_since_run


def stale_reasons(revision: Revision) -> list[str]:
    """Return why the results of a revision are not those of its params, code and data; empty if they are.

    The workspace and other checkouts are asked what `dvc repro` would run. Of a Git revision, what Git tracks is
    compared with the hashes in its dvc.lock. Data that is merely absent is not stale.
    """
    try:
        return (
            changes_since_run(revision.root) if revision.commit is None else list(dict.fromkeys(_committed(revision)))
        )
    except UserError as error:
        return [f"whether they are current cannot be told: {error}"]


def _committed(revision: Revision) -> Iterator[str]:
    stages = {
        name: definition for name, definition in expanded_stages(revision.yaml(DVC_YAML)) if name not in PUBLISHING
    }
    outs = {out["path"]: out.get("md5") for stage in revision.lock.values() for out in stage["outs"]}
    deps = {name: _paths(definition.get("deps")) for name, definition in stages.items()}
    own = {dep for listed in deps.values() for dep in listed if not _made(dep, outs)}
    here = git_hashes(revision, own)
    params = revision.yaml("params.yaml")
    for name, definition in stages.items():
        locked = revision.lock.get(name)
        if locked is None:
            yield f"{name}: never run: it is not in dvc.lock"
            continue
        if definition.get("cmd") != locked["cmd"]:
            yield f"{name}: its command changed"
        for keys in locked["params"].values():
            now = {key: value for key in keys if (value := _value(params, key)) is not KeyError}
            yield from map(str, param_changes(keys, now))
        wanted = {dep["path"]: dep.get("md5") for dep in locked["deps"]}
        for dep in deps[name]:
            found = here.get(dep) if dep in own else outs.get(dep, wanted.get(dep))
            if found is not None and found != wanted.get(dep):
                yield f"{dep}: {'changed' if dep in wanted else 'new'}"


def git_hashes(revision: Revision, paths: set[str]) -> dict[str, str]:
    """Return the MD5, as DVC computes it, of the files and folders among `paths` that Git tracks."""
    tracked = revision.tracked()
    parts = {path: [file for file in tracked if file == path or file.startswith(f"{path}/")] for path in paths}
    files = sorted({file for inside in parts.values() for file in inside})
    contents = revision.contents([tracked[file] for file in files])
    md5 = {file: _md5(content) for file, content in zip(files, contents, strict=True)}
    hashes = {}
    for path, inside in parts.items():
        if inside == [path]:
            hashes[path] = md5[path]
        elif inside:
            listing = [{"md5": md5[file], "relpath": file.removeprefix(f"{path}/")} for file in inside]
            listing.sort(key=lambda entry: entry["relpath"])
            hashes[path] = _md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"
    return hashes


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _made(path: str, outs: Mapping[str, Any]) -> bool:
    """Tell whether a stage makes the path, or the folder that it is in."""
    return any(path == out or path.startswith(f"{out}/") for out in outs)


def _paths(entries: Any) -> list[str]:
    """Return the paths of deps, each given as text or as `{path: options}`; what is neither is no path."""
    listed = entries if isinstance(entries, list) else []
    return [
        path for entry in listed for path in ([entry] if isinstance(entry, str) else entry) if isinstance(path, str)
    ]


def _value(document: Any, key: str) -> Any:
    """Return the value of a dotted key; the class `KeyError` where there is none."""
    for name in key.split("."):
        document = document.get(name, KeyError) if isinstance(document, dict) else KeyError
    return document

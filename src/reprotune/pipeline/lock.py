"""What dvc.lock and the listings of DVC's cache say, checked before anything is done with it.

Both may come from others: another branch, a fork, a shared remote. Their paths become places to write to and their
hashes names of files to read, so whatever DVC would not write itself is refused, in one sentence that names the entry.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reprotune.errors import UserError
from reprotune.files import decoded, read_bytes
from reprotune.params.values import YAML_BYTES, parsed_document
from reprotune.untrusted import clipped

DVC_LOCK = "dvc.lock"

LISTING_BYTES = 64 << 20
"""Largest listing of a folder that is read."""
MOST_FILES = 100_000
"""Files in one folder."""
MOST_CHARS = 1024
"""Length of a path."""

FOLDER = ".dir"
"""How the hash of a folder's listing ends."""

_HASH = re.compile(r"[0-9a-f]{32}")
_DRIVE = re.compile(r"[A-Za-z]:")
_REMEDY = "DVC writes no such entry, so restore the file from a commit that you trust"
_RESTORE = (
    f"run `git checkout HEAD -- {DVC_LOCK}` (or delete the file if none was ever committed), then `dvc repro`, which "
    "takes from DVC's cache what ran since"
)


def read_lock(root: Path) -> dict[str, Any]:
    """Return the stages of dvc.lock in a working tree, as `checked_lock` does; none where there is no such file.

    DVC writes the file in place, so that a kill can leave it empty or cut off, and then refuses every command with the
    words of its schema. Raises `UserError` that names the cure.
    """
    path = root / DVC_LOCK
    if not os.path.lexists(path):
        return {}
    try:
        document = parsed_document(decoded(read_bytes(path, _RESTORE, YAML_BYTES), DVC_LOCK, _RESTORE), DVC_LOCK)
    except UserError as error:
        raise error if _RESTORE in str(error) else UserError(f"{error}; {_RESTORE}") from error
    if document is None:
        raise UserError(f"{DVC_LOCK} is empty, because DVC was killed while it wrote it: {_RESTORE}")
    if isinstance(document, dict) and "schema" not in document:
        raise UserError(f"{DVC_LOCK} lacks `schema`, with which DVC begins it: {_RESTORE}")
    return checked_lock(document)


def checked_lock(document: Any, where: str = DVC_LOCK) -> dict[str, Any]:
    """Return the stages of a parsed dvc.lock: `cmd`, `params`, and lists of `deps` and `outs` with `path` and `md5`.

    An out's path is relative and inside the repository, no two outs are or contain the same file, and every hash is
    32 hex digits, with the ending `.dir` for a folder; where DVC recorded none, `md5` is absent. `where` names the file
    in errors. Raises `UserError` at the first entry that breaks this.
    """
    if document is None:
        return {}
    stages = _mapping(_mapping(document, where).get("stages", {}), f"{where}: stages")
    checked = {str(name): _stage(_mapping(stage, f"{where}: {_shown(name)}"), where) for name, stage in stages.items()}
    _check_apart([out["path"] for stage in checked.values() for out in stage["outs"]], where)
    return checked


def checked_listing(content: bytes, where: str) -> dict[str, str]:
    """Return the files of a folder, path in it -> MD5, from the listing that DVC keeps under the folder's hash.

    Raises `UserError` unless every path stays inside the folder, none is there twice, and every hash is well-formed.
    """
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or len(entries) > MOST_FILES:
        raise UserError(f"{where} is no list of at most {MOST_FILES:,} files: {_REMEDY}")
    files: dict[str, str] = {}
    for listed in entries:
        entry = _mapping(listed, f"{where}: {_shown(listed)}")
        path = _inside(entry.get("relpath"), where)
        md5 = _hash(entry.get("md5"), path, where)
        if md5.endswith(FOLDER):
            raise UserError(f"{where}: {_shown(path)} is a folder inside the listing of a folder: {_REMEDY}")
        if path in files:
            raise UserError(f"{where} lists {_shown(path)} twice: {_REMEDY}")
        files[path] = md5
    _check_apart(list(files), where)
    return files


def path_fault(path: Any) -> str:
    """Return why something is not the path of a file inside a folder, as DVC writes it; empty if it is one."""
    if not isinstance(path, str) or not path:
        return "is no path"
    if len(path) > MOST_CHARS:
        return f"has more than {MOST_CHARS:,} characters"
    if "\\" in path or any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in path):
        return "holds a backslash, a control character or bytes that are no text"
    if path.startswith("/") or _DRIVE.match(path):
        return "is absolute"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "leads elsewhere"
    return "belongs to Git or DVC" if parts[0].lower() in (".git", ".dvc") else ""


def _stage(stage: Mapping[str, Any], where: str) -> dict[str, Any]:
    params = _mapping(stage.get("params", {}), f"{where}: params")
    checked = {
        "cmd": stage.get("cmd"),
        "params": {str(file): _mapping(values, f"{where}: params") for file, values in params.items()},
        "deps": [_entry(entry, where) for entry in _listed(stage.get("deps"), where)],
        "outs": [_entry(entry, where, inside=True) for entry in _listed(stage.get("outs"), where)],
    }
    if not isinstance(checked["cmd"], str | list):
        raise UserError(f"{where}: a stage has no command: {_REMEDY}")
    return checked


def _entry(listed: Any, where: str, inside: bool = False) -> dict[str, str]:
    entry = _mapping(listed, f"{where}: {_shown(listed)}")
    path = entry.get("path")
    if inside:
        path = _inside(path, where)
    elif not isinstance(path, str):
        raise UserError(f"{where}: {_shown(path)} is no path: {_REMEDY}")
    return {"path": path} | ({"md5": _hash(entry["md5"], path, where)} if "md5" in entry else {})


def _inside(path: Any, where: str) -> str:
    if fault := path_fault(path):
        raise UserError(f"{where} names the file {_shown(path)}, which {fault}: {_REMEDY}")
    return str(path)


def _hash(value: Any, path: str, where: str) -> str:
    digest = str(value)  # a hash of digits alone is a number unless it is quoted
    if not _HASH.fullmatch(digest.removesuffix(FOLDER)):
        raise UserError(f"{where}: the hash {_shown(value)} of {_shown(path)} is not 32 hex digits: {_REMEDY}")
    return digest


def _check_apart(paths: list[str], where: str) -> None:
    """Raise `UserError` if a path is there twice or lies in another one."""
    known: set[str] = set()
    for path in paths:
        if path in known:
            raise UserError(f"{where} names {_shown(path)} twice: {_REMEDY}")
        known.add(path)
    for path in paths:
        if any(folder in known for folder in _folders(path)):
            raise UserError(f"{where} names {_shown(path)}, which lies inside another entry: {_REMEDY}")


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _listed(value: Any, where: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise UserError(f"{where}: {_shown(value)} should be a list: {_REMEDY}")
    return value or []


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} should be a mapping: {_REMEDY}")
    return value


def _shown(value: Any) -> str:
    """Return a value on one line, with everything spelled out that is not printable."""
    return clipped(repr(value), 100)

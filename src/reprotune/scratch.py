"""Scratch folders that outlive a killed stage, keyed by what the stage was computing.

DVC deletes the outs of a stage before it runs, so progress worth keeping (training checkpoints, judge replies, partial
downloads) is stored outside the outs, in `.reprotune/`, which Git and DVC ignore.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reprotune.errors import UserError

PACKAGES = ("reprotune", "stages")
FINISHED = "finished"

EXEMPT = {
    "reprotune.console": "shows progress and errors, returns nothing to a stage",
    "reprotune.faults": "words for errors that end a stage, returns nothing to it",
    "reprotune.interrupts": "ends a stage after Ctrl-C, returns nothing to it",
    "reprotune.pipeline.dvc_yaml": "stops a stage whose input DVC does not follow, returns nothing to a stage",
    "reprotune.pipeline.stage": "stops a stage where any param is wrong, returns nothing to it",
    "reprotune.pipeline.supervision": "stops a stage whose inputs change meanwhile, returns nothing to it",
    "reprotune.training.preview": "shows one training row to the person who watches, returns nothing to a stage",
}
"""Modules that cannot change a result, each with the reason: a stage neither depends on them nor starts afresh."""


def scratch_root() -> Path:
    """Return the scratch folder of the repository; DVC sets `DVC_ROOT`, even in `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".reprotune"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(settings: Any, files: Iterable[Path] = ()) -> str:
    """Return 16 hexadecimal digits over JSON-able settings and the names and contents of files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=False).encode())
    for path in sorted(files):
        digest.update(f"\n{path.name} {file_sha256(path)}".encode())
    return digest.hexdigest()[:16]


def code_fingerprint() -> str:
    """Return 16 hexadecimal digits over the modules of this repository that the process has loaded, `EXEMPT` ones not.

    Progress saved under one version of the code must not be continued by another.
    """
    files = {}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)  # of `__main__` too, which is the stage itself
        if spec and spec.origin and spec.name.partition(".")[0] in PACKAGES and spec.name not in EXEMPT:
            files[spec.name] = file_sha256(Path(spec.origin))
    return fingerprint(files)


def scratch_directory(purpose: str, key: str) -> Path:
    """Create and return `.reprotune/<purpose>/<key>/`."""
    path = scratch_root() / purpose / key
    path.mkdir(parents=True, exist_ok=True)
    return path


def mark_finished(folder: Path) -> None:
    """Say that the stage has written the result of a scratch folder, though DVC has yet to save it."""
    (folder / FINISHED).touch()


def clear_finished(purpose: str, but: Path | None = None) -> None:
    """Delete the scratch folders of `purpose` whose results are safe by now, except `but`.

    For a stage to call when it starts, on its own earlier runs or on those of a stage before it: it would not run
    unless DVC had saved what they made.
    """
    for mark in (scratch_root() / purpose).glob(f"*/{FINISHED}"):
        if mark.parent != but:
            with suppress(UserError), exclusive(mark.parent):  # another process may be at work in it
                shutil.rmtree(mark.parent)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a scratch folder for this process; the lock is released when the process ends, however it ends.

    A killed `dvc repro` can leave its stage running; without the lock, a second one would write the same checkpoints.
    Raises `UserError` if another process holds the lock.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another process is working in {folder}: wait for it, or end it (`fuser {folder}/lock` shows its id)"
            ) from error
        yield

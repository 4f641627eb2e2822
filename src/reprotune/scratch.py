"""Scratch folders that outlive a killed stage, keyed by what the stage was computing.

DVC deletes a stage's outs before each try, so progress worth keeping (training checkpoints, judge replies,
half-made downloads) lives outside the outs, in `.reprotune/`, which Git and DVC ignore.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reprotune.errors import UserError


def scratch_root() -> Path:
    """Return the scratch folder of the repository; DVC sets `DVC_ROOT`, also inside `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".reprotune"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(settings: Any, files: Iterable[Path] = ()) -> str:
    """Return 16 hexadecimal digits over JSON-able settings and the contents of files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=False).encode())
    for path in sorted(files):
        digest.update(file_sha256(path).encode())
    return digest.hexdigest()[:16]


def scratch_directory(purpose: str, key: str) -> Path:
    """Create and return `.reprotune/<purpose>/<key>/`."""
    path = scratch_root() / purpose / key
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a scratch folder alone; the lock goes with the process, however it ends.

    A killed `dvc repro` can leave its stage running; without the lock a second one would write the same checkpoints.
    Raises `UserError` when another process holds it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another process is working in {folder}: wait for it, or end it (`fuser {folder / 'lock'}` names it)"
            ) from error
        yield

"""Scratch folders that outlive a killed stage, keyed by what the stage was computing.

DVC deletes the outs of a stage before it runs, so progress worth keeping (training checkpoints, judge replies, partial
downloads) is stored outside the outs, in `.reprotune/`, which Git and DVC ignore.
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
    """Return the scratch folder of the repository; DVC sets `DVC_ROOT`, even in `dvc exp run --temp`."""
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

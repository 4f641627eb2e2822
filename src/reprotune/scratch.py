"""Scratch folders that outlive a killed stage, keyed by what the stage was computing.

DVC deletes a stage's outs before each try, so progress worth keeping (training checkpoints, judge replies,
half-made downloads) lives outside the outs, in `.reprotune/`, which Git and DVC ignore.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


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

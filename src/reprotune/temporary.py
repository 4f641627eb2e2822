"""Files and folders that are being written: what they are called until they are whole."""

import glob
import os
import shutil
from pathlib import Path


def temporary_path(path: Path) -> Path:
    """Return where this process writes what will take the place of `path`: beside it, on the same disk."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def clear_leftovers(path: Path) -> None:
    """Delete what killed processes were writing to take the place of `path`."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = old.name.split(".")[-2]
        if process.isdecimal() and (int(process) == os.getpid() or not _is_alive(int(process))):
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True

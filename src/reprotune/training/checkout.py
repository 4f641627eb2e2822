"""Which commit is checked out, and which files that Git follows differ from it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WRITTEN_BY_REPRO = ("dvc.lock", "metrics")
"""`dvc repro` itself writes these, so that they differ from the commit in the middle of every run."""


class Checkout(NamedTuple):
    """The state of a checkout."""

    commit: str
    changed: list[str]
    """Followed files that differ from the commit, sorted, relative to the folder that was asked about."""


def read_checkout(root: Path = Path(), apart: Sequence[str] = ()) -> Checkout | None:
    """Return the state of the checkout at `root`, the files and folders `apart` left out of what changed.

    None without Git, outside a repository, and before its first commit.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    # `--relative`, because the folder may lie below the root of the repository
    pathspec = [".", *(f":(exclude){path}" for path in apart)]
    changed = _git(root, "diff", "--name-only", "--relative", "--no-ext-diff", "-z", "HEAD", "--", *pathspec)
    if not commit or changed is None:
        return None
    return Checkout(commit.strip(), sorted(filter(None, changed.split("\0"))))


def _git(root: Path, *arguments: str) -> str | None:
    """Return what Git prints, undecodable names spelled with replacement characters; None if it fails or is missing."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed program, no shell
    except OSError:
        return None
    return run.stdout.decode(errors="replace") if run.returncode == 0 else None

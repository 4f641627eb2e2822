"""What a person calls a revision: a branch, tag or commit of Git, or an experiment of `dvc exp run`."""

import re
import subprocess
from difflib import get_close_matches
from pathlib import Path

from reprotune.errors import UserError
from reprotune.untrusted import clipped, visible

EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")
"""Where DVC keeps an experiment: under the commit that it started from. Its own states lie beside these."""


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Git in `root`; bytes of its output that are no text become lone surrogates."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(  # noqa: S603 - fixed program, no shell
        command, capture_output=True, text=True, encoding="utf-8", errors="surrogateescape", check=False
    )


def commit_of(name: str, root: Path) -> str:
    """Return the commit that `name` means in the repository at `root`.

    What Git itself knows comes first. Raises `UserError` if there is neither that nor exactly one experiment `name`.
    """
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if not found.returncode:
        return found.stdout.strip()
    started = _experiments(root)
    refs = started.get(name, [])
    if len(refs) == 1:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{refs[0]}^{{commit}}").stdout.strip()
    if refs:
        bases = " and ".join(sorted(EXPERIMENT.sub(r"\1\2", ref)[:8] for ref in refs))
        raise UserError(
            f"{len(refs)} experiments are called {name!r}, started from {bases}: give the commit of one "
            "(`dvc exp show --all-commits` lists them)"
        )
    heads = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
    similar = get_close_matches(name, sorted({*heads.stdout.split(), *started}), n=1)
    hint = f"; did you mean {clipped(visible(similar[0]), 100)!r}?" if similar else ""
    raise UserError(
        f"Git knows no revision {name!r}, and no experiment has that name: give a branch, tag, commit or experiment "
        f"(in a shallow clone, run `git fetch --unshallow` first; `dvc exp pull` brings experiments){hint}"
    )


def _experiments(root: Path) -> dict[str, list[str]]:
    """Return the experiments of this clone: name -> refs, one for each commit from which one of that name started."""
    started: dict[str, list[str]] = {}
    for ref in git(root, "for-each-ref", "--format=%(refname)", "refs/exps").stdout.splitlines():
        if match := EXPERIMENT.fullmatch(ref):
            started.setdefault(match[3], []).append(ref)
    return started

"""Where a report's numbers come from: when, where, with what and from which commit.

The report stage runs before its results are committed, and must give the same bytes from the same inputs. So the page
has what the training recorded of itself, and a hash by which the commit that holds the results can be found.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reprotune.results.read import Results

SHOWN_FILES = 5
COMMIT_DIGITS = 8
UNKNOWN = "not recorded"
PRECISIONS = {"bf16": "bfloat16", "fp32": "float32"}


def dvc_hash(path: Path) -> str:
    """Return the hash by which dvc.lock knows a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def origin_line(speed: dict[str, Any]) -> str:
    """Return in a sentence when, on what and from which commit the model was trained; `speed` is the speed file."""
    trained = speed.get("trained", {})
    when = _moment(trained.get("at"))
    return f"Trained {when + ' ' if when else ''}on {speed['device']}, {_commit_words(trained)}."


def origin_facts(results: Results, speed: dict[str, Any], lock_hash: str) -> list[tuple[str, str]]:
    """Return (what, value); `lock_hash` is that of data/judgements/metrics.json."""
    trained, made = speed.get("trained", {}), speed.get("made_with", {})
    versions = [("Python", "python"), ("torch", "torch"), ("Reprotune", "reprotune")]
    pins = made.get("constraints_sha256")
    precision = results.training["precision"]
    return [
        ("Trained", _moment(trained.get("at")) or UNKNOWN),
        ("Commit at the time", trained.get("commit") or UNKNOWN),
        ("Uncommitted at the time", _listed(trained.get("uncommitted"))),
        ("Machine", " \N{MIDDLE DOT} ".join(filter(None, [speed["device"], trained.get("system")]))),
        ("Precision of the training", PRECISIONS.get(precision, precision)),
        ("Versions", ", ".join(f"{name} {made[key]}" for name, key in versions if key in made) or UNKNOWN),
        ("Packages, as pinned", f"constraints.txt with SHA-256 {pins}" if pins else UNKNOWN),
        ("Dataset, as fetched", f"SHA-256 {results.summaries['raw']['sha256']}"),
        ("Results", f"data/judgements/metrics.json with MD5 {lock_hash}"),
    ]


def _moment(time: str | None) -> str:
    """Return `2026-11-21T17:53:02Z` as `2026-11-21 17:53 UTC`."""
    return f"{time[:10]} {time[11:16]} UTC" if time else ""


def _commit_words(trained: dict[str, Any]) -> str:
    commit, changed = trained.get("commit"), trained.get("uncommitted")
    if not commit:
        return "the commit is not known"
    text = f"at commit {commit[:COMMIT_DIGITS]}"
    return f"{text} with uncommitted changes to {_listed(changed)}" if changed else text


def _listed(files: Sequence[str] | None) -> str:
    if files is None:
        return UNKNOWN
    more = len(files) - SHOWN_FILES
    return (", ".join(files[:SHOWN_FILES]) or "nothing") + (f" and {more} more" if more > 0 else "")

"""Where a report's numbers come from, as far as it was recorded."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from reprotune.report.origin import dvc_hash, origin_facts, origin_line
from reprotune.results.read import load_results, load_speed

COMMIT = "5b94df95426c3faf24f275ec3c54c920fba69120"


@pytest.mark.parametrize(
    ("trained", "line"),
    [
        ({}, "Trained on cpu, the commit is not known."),
        (
            {"at": "2026-11-21T17:53:02Z", "commit": None},
            "Trained 2026-11-21 17:53 UTC on cpu, the commit is not known.",
        ),
        ({"commit": COMMIT, "uncommitted": []}, "Trained on cpu, at commit 5b94df95."),
        (
            {"commit": COMMIT, "uncommitted": ["a", "b", "c", "d", "e", "f", "g"]},
            "Trained on cpu, at commit 5b94df95 with uncommitted changes to a, b, c, d, e and 2 more.",
        ),
    ],
)
def test_the_line_says_what_was_recorded(trained: dict[str, Any], line: str) -> None:
    assert origin_line({"device": "cpu", "trained": trained}) == line


def test_the_facts_name_commit_versions_machine_and_hashes(workspace: Path) -> None:
    results = load_results(workspace / "data")
    facts = dict(origin_facts(results, load_speed(workspace / "data"), "0123"))
    assert facts["Commit at the time"] == "5b94df95" * 5
    assert facts["Uncommitted at the time"].startswith("params.yaml, <script>")
    assert facts["Machine"] == "cpu · Linux x86_64"
    assert facts["Versions"] == "Python 3.11.7, torch 2.13.0+cpu"
    assert facts["Dataset, as fetched"] == f"SHA-256 {'7e' * 32}"
    assert facts["Results"].endswith("MD5 0123")
    bare = dict(origin_facts(results, {"device": "cpu"}, "0123"))
    assert bare["Trained"] == bare["Commit at the time"] == bare["Versions"] == "not recorded"
    assert bare["Machine"] == "cpu"


def test_the_hash_is_the_one_in_dvc_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text\r\n")
    assert dvc_hash(path) == hashlib.md5(b"text\r\n", usedforsecurity=False).hexdigest()

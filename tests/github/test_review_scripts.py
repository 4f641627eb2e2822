"""The scripts of the review: one comment that is replaced, and nothing that nobody calls."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / ".github/scripts"
FAKE_GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$LOG"
case "$*" in *--paginate*) printf '%s' "$KNOWN" ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which is not here")


@pytest.mark.parametrize(
    ("known", "call"),
    [("", "--method POST repos/o/r/issues/7/comments"), ("42\n43\n", "--method PATCH repos/o/r/issues/comments/42")],
)
def test_the_comment_is_written_once_and_then_replaced(tmp_path: Path, known: str, call: str) -> None:
    (tmp_path / "gh").write_text(FAKE_GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "summary.md").write_text("<!-- reprotune review -->\nbody\n")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "o/r",
        "LOG": str(tmp_path / "log"),
        "KNOWN": known,
    }
    command = [SCRIPTS / "comment.sh", "7", str(tmp_path / "summary.md")]
    subprocess.run(command, env=environment, check=True)
    asked, written = (tmp_path / "log").read_text().splitlines()
    assert 'startswith("<!-- reprotune review -->")' in asked
    assert "github-actions[bot]" in asked
    assert call in written
    assert f"body=@{tmp_path / 'summary.md'}" in written


def test_every_script_is_called_by_the_workflow() -> None:
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/review.yml").read_text())
    steps = workflow["jobs"]["review"]["steps"]
    called = re.findall(r"\.github/scripts/[\w.]+", " ".join(step.get("run", "") for step in steps))
    assert set(called) == {f".github/scripts/{path.name}" for path in SCRIPTS.iterdir()}

"""The scripts of the review: one comment that is replaced, and nothing that nobody calls."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / ".github/scripts"
FAKE_REPROTUNE = """#!/usr/bin/env bash
echo "$*" >> "$LOG"
[ "$1" = compare ] && echo '## Compared' > "$4"
[[ " $FAILING " = *" $* "* || " $FAILING " = *" $1 "* ]] && { echo "$SAID" >&2; exit 1; }
echo "$1 is fine"
"""
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


@pytest.fixture
def review(tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Run review.sh with a `reprotune` that fails where told; returns exit code, summary and its calls."""
    repository, programs = tmp_path / "repository", tmp_path / "bin"
    repository.mkdir()
    programs.mkdir()
    (programs / "reprotune").write_text(FAKE_REPROTUNE)
    (programs / "reprotune").chmod(0o755)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "--message", "base"]):
        subprocess.run(["git", *words], cwd=repository, check=True)

    def run(failing: str = "", said: str = "Traceback: KeyError") -> tuple[int, str, list[str]]:
        environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "FAILING": failing,
            "SAID": said,
            "LOG": str(tmp_path / "log"),
        }
        command = [SCRIPTS / "review.sh", "HEAD", str(tmp_path / "out")]
        done = subprocess.run(command, cwd=repository, env=environment, check=False)
        summary = (tmp_path / "out/summary.md").read_text()
        return done.returncode, summary, (tmp_path / "log").read_text().splitlines()

    return run


def test_a_review_without_faults_passes_and_checks_the_lock_file(review) -> None:
    code, summary, calls = review()
    assert code == 0
    assert "### Gate: passed" in summary
    assert "## Compared" in summary
    assert calls[0] == "plan --check"


@pytest.mark.parametrize(
    ("failing", "said", "words"),
    [
        ("plan", "dvc.lock is out of date", "## The review failed: dvc.lock is out of date"),
        ("compare", "Traceback: KeyError", "## The review failed: the results cannot be compared"),
        ("gate", "Traceback: KeyError", "The gate does not run:"),
        ("gate", "gate.yaml: 1 of 2 rules are broken", "1 of 2 rules are broken"),
    ],
)
def test_whatever_fails_the_review_fails(review, failing: str, said: str, words: str) -> None:
    code, summary, _ = review(failing, said)
    assert code == 1
    assert "### Gate: failed" in summary
    assert "passed" not in summary
    assert words in summary
    assert said in summary

"""Workflows run only what is pinned, may do no more than they need, and never put foreign text into a script.

`make lint` also runs zizmor over them.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@every_workflow
def test_actions_are_pinned_to_a_commit_and_say_its_version(path: Path) -> None:
    lines = [line.strip(" -") for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_all_workflows_pin_the_same_commits() -> None:
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, commit in re.findall(r"uses: ([\w/-]+)@(\w+)", path.read_text(encoding="utf-8")):
            found.setdefault(action, set()).add(commit)
    assert {action: commits for action, commits in found.items() if len(commits) > 1} == {}


@every_workflow
def test_a_pull_request_gains_nothing(path: Path) -> None:
    workflow = read(path)
    assert "pull_request_target" not in workflow["on"]
    assert workflow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    # what a pull request says never stands in a script, only in variables
    assert not any("${{" in step.get("run", "") for step in steps(path))
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@every_workflow
def test_scripts_that_are_called_exist(path: Path) -> None:
    called = re.findall(r"(?:^|\s)(\.[\w.]+/[\w./]+)", "\n".join(step.get("run", "") for step in steps(path)))
    assert all(os.access(ROOT / name, os.X_OK) for name in called)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="needs actionlint, which is not here")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

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
PINNED = re.compile(r"uses: actions/[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")

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
        for action, commit in re.findall(r"uses: (actions/[\w-]+)[\w/-]*@(\w+)", path.read_text(encoding="utf-8")):
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


def jobs(path: Path) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Return (what it may do, its steps) of every job."""
    workflow = read(path)
    return [(job.get("permissions", workflow["permissions"]), job["steps"]) for job in workflow["jobs"].values()]


def test_only_the_comment_may_write_and_only_to_pull_requests() -> None:
    writing = {
        (path.stem, what)
        for path in WORKFLOWS
        for permissions, _ in jobs(path)
        for what, level in permissions.items()
        if level != "read"
    }
    assert writing == {("comment", "pull-requests")}


@every_workflow
def test_what_may_write_runs_nothing_of_a_pull_request(path: Path) -> None:
    for permissions, found in jobs(path):
        if all(level == "read" for level in permissions.values()):
            assert "GH_TOKEN" not in str(found), "a job that runs the change's code has no token to lose"
            continue
        assert "workflow_run" in read(path)["on"], "a pull request cannot change the workflow either"
        uses = [step["uses"].partition("@")[0] for step in found if "uses" in step]
        assert uses == ["actions/checkout"], "nothing is installed, and no artifact unpacked by an action"
        (checkout,) = (step["with"] for step in found if "uses" in step)
        assert checkout["ref"] == "${{ github.event.repository.default_branch }}"
        assert [step["run"] for step in found if "run" in step] == [".github/scripts/publish.sh"]


def test_which_pull_request_is_commented_on_comes_from_the_event() -> None:
    ((_, found),) = jobs(ROOT / ".github/workflows/comment.yml")
    (values,) = (step["env"] for step in found if "run" in step)
    assert {key: value for key, value in values.items() if key != "GH_TOKEN"} == {
        key: f"${{{{ github.event.workflow_run.{name} }}}}"
        for key, name in (
            ("RUN_ID", "id"),
            ("HEAD_SHA", "head_sha"),
            ("HEAD_BRANCH", "head_branch"),
            ("HEAD_REPOSITORY", "head_repository.full_name"),
        )
    }


def test_the_review_fills_the_cache_on_main_and_leaves_what_the_comment_reads() -> None:
    review, comment = (read(ROOT / f".github/workflows/{name}.yml") for name in ("review", "comment"))
    assert review["on"]["push"]["branches"] == ["main"]
    assert comment["on"]["workflow_run"]["workflows"] == [review["name"]]
    found = review["jobs"]["review"]["steps"]
    uses = [step.get("uses", "").partition("@")[0] for step in found]
    assert uses.index("actions/cache/restore") < uses.index("actions/cache/save")
    uploads = {
        step["with"]["name"]: step["with"]["path"] for step in found if "upload-artifact" in step.get("uses", "")
    }
    assert uploads["summary"].endswith("/summary.md")
    assert "name=summary" in (ROOT / ".github/scripts/publish.sh").read_text()


@every_workflow
def test_scripts_that_are_called_exist(path: Path) -> None:
    called = re.findall(r"(?:^|\s)(\.[\w.]+/[\w./]+)", "\n".join(step.get("run", "") for step in steps(path)))
    assert all(os.access(ROOT / name, os.X_OK) for name in called)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="needs actionlint, which is not here")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

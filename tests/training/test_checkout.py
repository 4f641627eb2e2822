"""Which commit is checked out, and what differs from it."""

import subprocess
from pathlib import Path

import pytest

from reprotune.training.checkout import read_checkout


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "project/metrics").mkdir(parents=True)
    for name in ("outside", "project/params.yaml", "project/dvc.lock", "project/metrics/scores.json", "project/ü b.py"):
        (tmp_path / name).write_text("one")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def test_names_the_commit_and_followed_files_of_the_folder_that_differ(repository: Path) -> None:
    project = repository / "project"
    commit = git(repository, "rev-parse", "HEAD")
    assert read_checkout(project) == (commit, [])
    for path in [repository / "outside", *project.glob("*.*"), project / "metrics/scores.json"]:
        path.write_text("two")
    (project / "untracked").write_text("")
    git(repository, "add", "project/params.yaml")
    found = read_checkout(project)
    assert found == (commit, ["dvc.lock", "metrics/scores.json", "params.yaml", "ü b.py"])
    assert read_checkout(project, apart=("dvc.lock", "metrics")) == (commit, ["params.yaml", "ü b.py"])


def test_without_a_commit_or_git_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_checkout(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert read_checkout(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert read_checkout(tmp_path) is None

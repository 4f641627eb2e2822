"""What a run reports about itself."""

import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reprotune.training import results


@pytest.mark.parametrize(("platform", "expected"), [("linux", 3 * 1024), ("darwin", 3)])
def test_peak_memory_is_in_bytes_on_every_system(platform: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3))
    assert results._peak_resident_bytes() == expected


def test_a_training_names_its_commit_and_what_was_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("one: 1\n")
    for command in (["init", "--quiet"], ["add", "params.yaml", "dvc.lock"], ["commit", "--quiet", "--message", "One"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "dvc.lock").write_text("written: by repro\n")
    assert results.trained()["commit"] == commit
    assert results.trained()["uncommitted"] == []
    (tmp_path / "params.yaml").write_text("changed: true\n")
    assert results.trained()["uncommitted"] == ["params.yaml"]

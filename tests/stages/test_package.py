"""Stages run the code that DVC hashes: that of their own checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkouts(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the code; in the other one, finished stages say so."""
    for name in ("own", "other"):
        shutil.copytree(ROOT / "src", tmp_path / name / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "stages", tmp_path / name / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other/src/reprotune/errors.py").write_text("raise SystemExit('the other code runs')\n")
    return tmp_path / "own", tmp_path / "other"


def python(own: Path, other: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(other / "src"), str(own)))
    command = [sys.executable, *words]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=own, env=environment, capture_output=True, text=True, check=False)


def test_another_package_on_the_path_does_not_count(checkouts: tuple[Path, Path]) -> None:
    done = python(*checkouts, "-m", "stages.split")
    assert "params.yaml is missing" in done.stderr, "it got as far as its own work"
    assert "the other code runs" not in done.stderr


def test_another_package_that_is_already_loaded_is_refused(checkouts: tuple[Path, Path]) -> None:
    own, other = checkouts
    done = python(own, other, "-c", "import reprotune, stages.split")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: the stages in {own} would run the code in {other / 'src/reprotune'}, which DVC does not hash: "
        f"run `pip install -e .` in {own}"
    ]

"""Stages as DVC runs them: a process in the folder that holds params.yaml."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]

RunStage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_stage(tmp_path: Path) -> RunStage:
    """Run `python -m stages.<name>` in `tmp_path`, under the default params with `changes` to the stage's section."""

    def run(name: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        yaml = YAML()
        document = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        document[name] |= changes
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(document, file)
        path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
        return subprocess.run(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def read_bytes(tmp_path: Path) -> Callable[[str], dict[str, bytes]]:
    """Return every file of a folder below `tmp_path` with its bytes."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted((tmp_path / folder).iterdir())}

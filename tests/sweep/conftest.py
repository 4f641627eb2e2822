"""A definition beside a copy of params.yaml, in the current folder, and what it comes to by a formula."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprotune.artifacts import write_text
from reprotune.sweep.artifact import Written, read_trials
from reprotune.sweep.definition import read_sweep
from tests.builders.sweeps import DEFINITION, run
from tests.runs.conftest import project  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def define(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write sweep/NAME.yaml beside a copy of params.yaml, in the current folder; keys given as None are left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_text(tmp_path / "params.yaml", (ROOT / "params.yaml").read_text(encoding="utf-8"))

    def write(name: str = "try", **changes: Any) -> None:
        path = tmp_path / f"sweep/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        content = {key: value for key, value in {**DEFINITION, **changes}.items() if value is not None}
        with path.open("w", encoding="utf-8") as file:
            YAML().dump(content, file)

    return write


@pytest.fixture
def written(define: Callable[..., None]) -> Written:
    """A sweep that has run."""
    define()
    sweep = read_sweep("try")
    return read_trials(sweep, run(sweep))

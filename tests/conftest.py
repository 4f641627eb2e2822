"""Fixtures shared by every test."""

import os
from pathlib import Path

# One thread a process (torch reads this when it is imported): tests run side by side, and stages they start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

# Deadlines measure the machine's load, not the code.
hypothesis.settings.register_profile("reprotune", deadline=None)
hypothesis.settings.load_profile("reprotune")

BUILDERS = ("browser", "checkout", "clone", "judge_service", "networks", "run", "tab", "tokenizers")
pytest_plugins = [f"tests.builders.{name}" for name in BUILDERS]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not here")
    return path

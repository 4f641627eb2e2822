"""Fixtures for the embedded textbook, dataset and base model."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "data" / "embedded"
TEXTBOOK = EMBEDDED / "textbook"

sys.path.insert(0, str(TEXTBOOK))  # the generator stands beside its data, not in the package

from textbook.facts import Fact  # noqa: E402  # found through the line above
from textbook.recipe import TextParams, WorldParams  # noqa: E402
from textbook.world import all_facts  # noqa: E402


@pytest.fixture(scope="session")
def embedded() -> Path:
    """The folder of the embedded dataset and base model."""
    return EMBEDDED


@pytest.fixture(scope="session")
def world_seed() -> int:
    """The seed of the published world."""
    return WorldParams.load("world", TEXTBOOK / "params.yaml").seed


@pytest.fixture(scope="session")
def text_params() -> TextParams:
    """How the published textbook was written."""
    return TextParams.load("text", TEXTBOOK / "params.yaml")


@pytest.fixture(scope="session")
def facts(world_seed: int) -> list[Fact]:
    """Every fact of the published world."""
    return all_facts(world_seed)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    """The published dataset."""
    lines = (EMBEDDED / "dataset.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]

"""What fine-tuning forgot, in bits per byte."""

import math
from pathlib import Path

import pytest

from reprotune.multiple_choice.figures.forgetting import retention_figures
from reprotune.multiple_choice.figures.measured import read_measured
from reprotune.results.benchmark_words import RETENTION_WORDS
from tests.builders.benchmark import text, write_benchmark


def figures(folder: Path, changes: list[float]) -> dict:  # type: ignore[type-arg]  # JSON
    base = [text(place, 100 + place, 70.0 + place) for place in range(len(changes))]
    tuned = [{**row, "nats": row["nats"] + change} for row, change in zip(base, changes, strict=True)]
    write_benchmark(folder / "data", texts={"base": base, "finetuned": tuned})
    return retention_figures(read_measured(folder / "data"))


def test_loss_is_a_sum_by_a_sum_in_bits(tmp_path: Path) -> None:
    found = figures(tmp_path, [1.0, 3.0])
    assert found["base"]["bits_per_byte"] == pytest.approx(141 / 201 / math.log(2))
    assert found["difference"]["bits_per_byte"] == pytest.approx(4 / 201 / math.log(2))
    assert found["difference"]["n"] == 2


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([2.0, 3.0] * 20, "forgot"),
        ([-2.0, -3.0] * 20, "improved"),
        ([2.0, -2.0] * 20, "within noise"),
        ([0.0] * 20, "unchanged"),
        ([9.0] * 3, "too few rows"),
    ],
)
def test_verdicts(tmp_path: Path, changes: list[float], verdict: str) -> None:
    found = figures(tmp_path, changes)["difference"]["verdict"]
    assert found == verdict
    assert found in RETENTION_WORDS


def test_without_a_text_there_is_nothing(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "data")
    assert retention_figures(read_measured(tmp_path / "data")) == {}

"""metrics/benchmark.json: read back whole, and refused in one sentence where somebody damaged it."""

import json
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.report.publish import benchmark_metrics
from reprotune.results.published import read_published
from reprotune.results.read import load_results


@pytest.fixture
def document(workspace: Path) -> dict[str, Any]:
    results = load_results(workspace / "data")
    return benchmark_metrics(results.measured.task, results.figures, results.retention)


def test_what_is_published_is_read(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    assert read_published(path, "mend it") == ({}, {})
    path.write_text(json.dumps(document))
    tasks, retention = read_published(path, "mend it")
    assert list(tasks) == ["exam.cloze_0shot_plain"]
    assert retention == document["retention"]


def test_a_task_may_be_called_retention(workspace: Path, tmp_path: Path) -> None:
    results = load_results(workspace / "data")
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(benchmark_metrics("retention", results.figures, results.retention)))
    tasks, retention = read_published(path, "mend it")
    assert list(tasks) == ["retention.cloze_0shot_plain"]
    assert retention["difference"]["verdict"] == results.retention["difference"]["verdict"]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((), [], "should be a JSON object: mend it"),
        (("exam",), 5, "'exam' should be an object"),
        (("exam", "cloze_0shot_plain"), 5, r"'exam'\.cloze_0shot_plain should be a JSON object"),
        (("exam", "cloze_0shot_plain", "base", "accuracy"), 1.5, r"base\.accuracy should be .*, but it is 1\.5"),
        (("exam", "cloze_0shot_plain", "trivial", "chance"), "x", r"trivial\.chance should be a number, but it is .x."),
        (("exam", "cloze_0shot_plain", "difference", "verdict"), "magic", "one of better, worse"),
        (("retention",), [1], "'retention' should be an object"),
        (("retention", "difference", "verdict"), "better", "one of forgot, improved"),
        (("retention", "base", "bits_per_byte"), -1, r"base\.bits_per_byte should be at least 0"),
    ],
)
def test_damage_is_one_sentence(
    document: dict[str, Any], tmp_path: Path, place: tuple[str, ...], value: Any, words: str
) -> None:
    inside = document
    for key in place[:-1]:
        inside = inside[key]
    if place:
        inside[place[-1]] = value
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(document if place else value))
    with pytest.raises(UserError, match=words) as refusal:
        read_published(path, "mend it")
    assert "\n" not in str(refusal.value)

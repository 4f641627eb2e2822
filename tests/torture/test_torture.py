"""A short selection of `benchmarks/torture.py`: the same cases under one seed, so that each can be repeated there."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SEED = 1
"""The default of the command."""
CASES = {
    "c": 16,
    "d": 56,
    "e": 20,
    "f": 2,
}
"""Group -> how many of its cases; the first ones that the command would run."""
LEFT_OUT = {
    "bomb": "its limits are far above what a test may take",
    "read-only": "pytest's folders are closed to the user without rights that it needs",
}


@pytest.fixture(scope="module")
def trials() -> Iterator[Any]:
    """The machinery, which lies beside the benchmarks."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import torture  # noqa: PLC0415

        yield torture
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_no_case_ends_badly(trials: Any, finished: Any, tmp_path: Path) -> None:
    project = trials.Project(finished)
    cases = [case for group, count in CASES.items() for case in trials.drawn(group, count)]
    chosen = [case for case in cases if case.split("/")[1] not in LEFT_OUT]
    with trials.Workers(project.root, project.environment, 2) as workers:
        results = list(workers.map(lambda forker, case: trials.run_case(forker, project, case, SEED, tmp_path), chosen))
    assert len(results) == len(chosen) > 70
    if bad := trials.bad_ones(results, f"python benchmarks/torture.py --seed {SEED}"):
        pytest.fail(bad, pytrace=False)


def test_an_interrupted_run_goes_on_from_what_it_kept(trials: Any, tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    results = [trials.Result(f"d/params/{number}", "fine", "half of \ud83d", seconds=0.5) for number in range(2)]
    for result in results:
        trials.keep(result, output)
    whole = output.read_bytes()
    output.write_bytes(whole + whole[:30])
    assert trials.kept(output) == results
    assert output.read_bytes() == whole, "the next line must not follow half a line"

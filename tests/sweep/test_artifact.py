"""The files of a sweep: what is written is read again, the same runs give the same bytes, damage is told."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from docs.artifacts_page import BY_SWEEPS
from reprotune.errors import UserError
from reprotune.sweep.artifact import FOLDER, Written, level_losses, read_trials
from reprotune.sweep.contracts import TRIALS
from reprotune.sweep.definition import read_sweep
from stages import sweep_report
from tests.builders.sweeps import Formula, run
from tests.docs.test_generated import check_file

Define = Callable[..., None]


def test_every_run_is_a_row_with_every_param(written: Written) -> None:
    rows = written.rows
    keys = {one.key for one in written.sweep.dimensions}
    assert all(keys <= row.keys() for row in rows)
    assert [row["trial"] for row in rows if row["part"] == "search"] == sorted(
        row["trial"] for row in rows if row["part"] == "search"
    )
    assert len(written.search()) == 24
    assert next(iter(written.finals())) == 0
    present = written.values(0)
    assert present["finetune.learning_rate"] == written.sweep.present.learning_rate


def test_rungs_have_a_loss_and_failed_runs_a_reason(written: Written) -> None:
    for row in written.rows:
        assert (row["loss"] is None) == (row["reason"] is not None)
        assert (row["step"] is None) == (row["reason"] is not None)
    assert sorted(level_losses(written.search()[1])) == [0.25, 0.5, 1.0]


def test_the_same_runs_give_the_same_bytes_whatever_time_they_take(define: Define) -> None:
    class Slower(Formula):
        def measure(self, *arguments: object) -> object:  # type: ignore[override]
            found = super().measure(*arguments)  # type: ignore[arg-type]
            return found.__class__(**{**vars(found), "seconds": found.seconds * 7.1})

    define()
    sweep = read_sweep("try")
    files = ("trials.parquet", "rows.parquet", "seconds.parquet")
    first = {name: (run(sweep) / name).read_bytes() for name in files}
    second = {name: (run(sweep, Slower()) / name).read_bytes() for name in files}  # type: ignore[arg-type]
    assert [first[name] == second[name] for name in files] == [True, True, False]


def test_an_enlarged_sweep_keeps_the_rows_of_the_first_trials(define: Define) -> None:
    define(trials=8)
    few = read_trials(read_sweep("try"), run(read_sweep("try"))).search()
    define(trials=24)
    many = read_trials(read_sweep("try"), run(read_sweep("try"))).search()
    for trial, rows in few.items():
        for before, after in zip(rows, many[trial], strict=False):
            assert {**before, "status": None} == {**after, "status": None}  # a stopped trial may go on after all


def test_choices_of_mixed_kinds_come_back_as_they_are(define: Define) -> None:
    define(space={"finetune.grad_clip": [None, 0.5, 1.0], "finetune.schedule": ["constant", "wsd"]}, fixed={}, trials=6)
    found = read_trials(read_sweep("try"), run(read_sweep("try")))
    assert {row["finetune.grad_clip"] for row in found.rows} >= {None, 0.5, 1.0}
    kinds = pq.read_schema(FOLDER / "try/trials.parquet")
    assert str(kinds.field("finetune.grad_clip").type) == "double"
    assert str(kinds.field("finetune.schedule").type) == "string"


def test_the_files_are_what_the_manual_says(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sweep_report", "try"])
    sweep_report.main()
    for artifact in BY_SWEEPS:
        path = FOLDER / "try" / Path(artifact.path).name
        if path.name == "trials.parquet":  # which has a column more for each param
            assert pq.read_schema(path).names[: len(TRIALS)] == TRIALS.names
        else:
            check_file(path, artifact, ())


def test_other_spaces_and_missing_files_are_told(written: Written, define: Define) -> None:
    define(space={"finetune.lora.alpha": [1.0, 2.0]})
    with pytest.raises(UserError, match=r"trials.parquet: column finetune.lora.alpha should be double"):
        read_trials(read_sweep("try"), FOLDER / "try")
    Path("data/sweep/try/trials.parquet").unlink()
    with pytest.raises(UserError, match=r"trials\.parquet is missing"):
        read_trials(read_sweep("try"), FOLDER / "try")

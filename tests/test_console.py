"""How a stage ends: one sentence, the right exit code, its time kept."""

import json
from pathlib import Path

import pytest

from reprotune.console import counted, run_stage
from reprotune.errors import UserError


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def raising(error: BaseException) -> None:
    raise error


def test_a_finished_stage_leaves_its_wall_time() -> None:
    run_stage("split", lambda: None)
    record = json.loads(Path(".reprotune/timings/split.json").read_text())
    assert record["stage"] == "split"
    assert 0 <= record["seconds"] < 1


def test_a_fault_of_the_user_is_a_sentence_and_the_way_back() -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage("split", lambda: raising(UserError("params.yaml: split.train is missing")))
    first, second = str(caught.value).splitlines()
    assert first == "split: error: params.yaml: split.train is missing"
    assert second.index("run `dvc repro` again") < second.index("git stash && dvc checkout"), "the lighter one first"
    assert "git checkout" not in second, "that would throw the person's edits away"
    assert not Path(".reprotune/timings").exists()


def test_one_thing_has_no_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_an_unexpected_fault_keeps_its_traceback_in_a_file() -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage("generate@base", lambda: raising(KeyError("x")))
    assert "Traceback" not in str(caught.value)
    assert "KeyError" in str(caught.value)
    assert "Traceback" in Path(".reprotune/crashes/generate-base.txt").read_text()


def test_ctrl_c_exits_as_shells_expect() -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage("finetune", lambda: raising(KeyboardInterrupt()))
    assert caught.value.code == 130


def test_a_stage_s_results_do_not_fall_with_the_record_of_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".reprotune").write_text("a file where the folder should be")
    run_stage("split", lambda: None)
    assert "split: its wall time is not kept: .reprotune" in capsys.readouterr().err


def test_the_machine_s_fault_is_no_bug_of_reprotune() -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage("generate@base", lambda: raising(MemoryError()))
    assert str(caught.value).startswith("generate@base: error: the memory of this machine is full: lower generate.")
    assert "bug" not in str(caught.value)

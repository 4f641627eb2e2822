"""What is known before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprotune.judging.service.store import ReplyStore
from tests.builders.command_line import reprotune

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the default params and links to what they name."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/embedded").symlink_to(ROOT / "data/embedded")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_params(**changes: Any) -> None:
    """Set keys given with `__` for dots."""
    yaml = YAML()
    document = yaml.load(Path("params.yaml"))
    for name, value in changes.items():
        *sections, key = name.split("__")
        section = document
        for part in sections:
            section = section[part]
        section[key] = value
    yaml.dump(document, Path("params.yaml"))


def test_the_default_params_have_no_fault(project: Path) -> None:
    done = reprotune("check")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "2500 of the first 2500 rows of embedded are usable" in done.stdout
    assert "512 positions; tokenize.max_length 1024 is more" in done.stdout
    assert "offline statistics" in done.stdout


def test_every_fault_is_found_at_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (project / "rows.json").write_text(json.dumps([{"Instruction": "a", "output": "b"}]))
    set_params(
        fetch__dataset__source="rows.json",
        fetch__base__source="no/such/folder",
        format__template="mine.jinja",
        judge__backend="ollama",
    )
    done = reprotune("check")
    assert done.exit_code == 1
    faults = done.stderr.splitlines()
    assert len(faults) == 4
    assert "did you mean 'Instruction'" in faults[0]
    assert "no/such/folder is not a folder" in faults[1]
    assert "mine.jinja" in faults[2]
    assert "127.0.0.1:9" in faults[3]


def test_a_file_that_dvc_does_not_follow_is_known_before_the_stage_refuses_it(project: Path) -> None:
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    assert reprotune("check").exit_code == 0
    (project / "rows.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    set_params(fetch__dataset__source="rows.json")
    done = reprotune("check")
    assert done.exit_code == 1
    assert done.stderr == (
        "error: dvc.yaml does not list rows.json of fetch@dataset, so the stage will refuse to run: run `reprotune "
        "deps --fix`\n"
    )


def test_wrong_params_are_all_named(project: Path) -> None:
    set_params(judge__backend="olama", finetune__epochs=0)
    done = reprotune("check")
    assert done.exit_code == 1
    assert "judge.backend" in done.stderr and "finetune.epochs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_lock_that_a_killed_dvc_left_damaged_is_named(project: Path) -> None:
    lock = project / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    for whole in ("{}", '{"read": {}}', '{"write": {"/p": {"pid": 1, "cmd": "dvc"}}, "read": {}}'):
        lock.write_text(whole)
        assert reprotune("check").exit_code == 0
    corrupted, format_error = '("JSON structure is corrupted")', '("format error")'
    for text, said in (("", corrupted), ("\xff", corrupted), ("[]", format_error), ('{"write": []}', format_error)):
        lock.write_text(text, encoding="latin-1")
        done = reprotune("check")
        assert done.exit_code == 1
        assert said in done.stderr
        assert "delete it (`rm .dvc/tmp/rwlock`)" in done.stderr


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_dvc_lock_that_a_killed_dvc_left_empty_is_named(project: Path, command: str) -> None:
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (project / "dvc.lock").write_text("")
    done = reprotune(command)
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "error: dvc.lock is empty, because DVC was killed while it wrote it: run `git checkout "
    )
    assert done.stderr.count("\n") == 1


def test_adapters_that_are_too_large_are_found_before_training(project: Path) -> None:
    set_params(finetune__method="lora", finetune__lora__rank=100_000)
    done = reprotune("check")
    assert done.exit_code == 1
    assert "finetune.lora.rank is 100000" in done.stderr


def test_a_judge_at_work_does_not_hold_the_check_up(project: Path, service: Any) -> None:
    set_params(judge__backend="ollama")
    with ReplyStore(project / ".reprotune/judge/replies.jsonl"):
        assert reprotune("check").exit_code == 0


def test_a_judge_that_is_not_there_is_found_before_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    set_params(judge__backend="openai")
    done = reprotune("check")
    assert done.exit_code == 1
    assert "nothing answers at http://127.0.0.1:9/v1" in done.stderr

"""Fingerprints and locks of scratch folders."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.scratch import (
    clear_finished,
    code_fingerprint,
    exclusive,
    fingerprint,
    mark_finished,
    scratch_directory,
)


def test_a_fingerprint_follows_settings_and_contents(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text("one")
    first = fingerprint({"lr": 1}, [file])
    assert first == fingerprint({"lr": 1}, [file])
    assert first != fingerprint({"lr": 2}, [file])
    file.write_text("two")
    assert first != fingerprint({"lr": 1}, [file])


def test_a_fingerprint_knows_which_file_holds_what(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("same")
    assert fingerprint({}, [tmp_path / "a", tmp_path / "b"]) != fingerprint({}, [tmp_path / "a", tmp_path / "c"])


@pytest.mark.parametrize(
    ("name", "counts"), [("reprotune.training.added", True), ("reprotune.console", False), ("elsewhere", False)]
)
def test_the_code_of_a_process_is_its_first_party_modules(
    name: str, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "module.py"
    file.write_text("x = 1\n")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    monkeypatch.setitem(sys.modules, name, importlib.util.module_from_spec(spec))
    before = code_fingerprint()
    assert code_fingerprint() == before
    file.write_text("x = 2\n")
    assert (code_fingerprint() != before) == counts


def test_scratch_lies_under_dvcs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert scratch_directory("finetune", "abc") == tmp_path / ".reprotune/finetune/abc"


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    holder = (
        "import pathlib, sys; from reprotune.scratch import exclusive\n"
        f"with exclusive(pathlib.Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process is working in"), exclusive(tmp_path):
            pass
        process.kill()
    with exclusive(tmp_path):
        pass


def test_only_finished_work_that_nobody_uses_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    finished, own, unfinished, used = (scratch_directory("finetune", key) for key in ("a", "b", "c", "d"))
    for folder in (finished, own, used):
        mark_finished(folder)
    with exclusive(used):
        clear_finished("finetune", but=own)
    assert not finished.exists()
    assert all(folder.exists() for folder in (own, unfinished, used))

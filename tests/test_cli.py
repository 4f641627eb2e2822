"""The command line: help, exit codes, one-sentence errors."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reprotune.cli import app

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
COMMANDS = (
    ["summary"],
    ["params"],
    ["deps"],
    ["plan"],
    ["compare"],
    ["gate"],
    ["preset"],
    ["preset", "list"],
    ["preset", "show"],
    ["preset", "apply"],
)

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_has_help() -> None:
    for command in COMMANDS:
        result = runner.invoke(app, [*command, "--help"])
        assert result.exit_code == 0
        assert "Usage:" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from reprotune.cli import app; app(['--help'], standalone_mode=False); "
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'requests', 'pydantic') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_preset_list_show_apply(folder: Path) -> None:
    listed = runner.invoke(app, ["preset", "list"])
    assert listed.stdout.startswith("embedded ")
    assert "method: lora" in runner.invoke(app, ["preset", "show", "lora"]).stdout
    applied = runner.invoke(app, ["preset", "apply", "lora"])
    assert applied.stdout == "finetune.method: full -> lora\nparams.yaml: preset lora applied; next: dvc repro\n"
    assert "  method: lora\n" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert runner.invoke(app, ["preset", "apply", "lora"]).stdout == "params.yaml: already preset lora\n"


def test_errors_are_one_sentence_and_exit_code_1(folder: Path) -> None:
    for command, words in ((["preset", "apply", "nope"], "no preset 'nope'"), (["deps"], "dvc.yaml is missing")):
        result = runner.invoke(app, command)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert words in result.stderr
        assert result.stderr.count("\n") == 1


def test_deps_checks_and_fixes(folder: Path) -> None:
    (folder / "stages").mkdir()
    (folder / "stages/split.py").write_text("x = 1\n")
    (folder / "dvc.yaml").write_text(
        "stages:\n  split:\n    cmd: python -m stages.split\n    deps:\n      - data/raw\n"
    )
    checked = runner.invoke(app, ["deps", "--check"])
    assert (checked.exit_code, checked.stdout) == (1, "split: missing dep stages/split.py\n")
    assert "reprotune deps --fix" in checked.stderr
    assert runner.invoke(app, ["deps", "--fix"]).exit_code == 0
    assert runner.invoke(app, ["deps"]).exit_code == 0
    assert "      - stages/split.py\n      - data/raw\n" in (folder / "dvc.yaml").read_text()


def test_params_and_summary_print(folder: Path) -> None:
    assert runner.invoke(app, ["params", "--markdown"]).stdout.startswith("| key | default | values | meaning |\n")
    assert "finetune.epochs" in runner.invoke(app, ["params"]).stdout
    assert "not measured yet" in runner.invoke(app, ["summary"]).stdout

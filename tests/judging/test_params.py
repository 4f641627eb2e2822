"""The section `judge`: what it refuses."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.params.sections.judge import JudgeParams

TEXT = (Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8")


def load(path: Path, **changes: object) -> JudgeParams:
    """Load the section of the repository's own params.yaml with some keys replaced."""
    lines = TEXT[TEXT.index("\njudge:\n") + 1 :].splitlines()
    for key, value in changes.items():
        lines = [f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in lines]
    path.write_text("\n".join(lines))
    return JudgeParams.load("judge", path)


def test_repeats_need_a_temperature(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"judge\.repeats is 3: it should be 1 with judge\.temperature: 0"):
        load(path, backend="ollama", repeats=3)
    assert load(path, backend="ollama", repeats=3, temperature=0.7).repeats == 3
    assert load(path, repeats=3).repeats == 3  # no effect with `offline`


def test_an_opponent_is_a_name_or_a_file_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert load(path, against="base").files == {}
    assert load(path, against="mine/outputs.jsonl").files == {"against": Path("mine/outputs.jsonl")}
    with pytest.raises(UserError, match=r"judge\.against is 'main': it should be base, reference or a path .*opponent"):
        load(path, against="main")
    with pytest.raises(UserError, match=r"likeness to the reference, which nothing can then beat"):
        load(path, against="reference")
    assert load(path, against="reference", backend="openai").against == "reference"

"""The reference of params.yaml explains every key."""

from pathlib import Path

from reprotune.params.reference import markdown_table, param_entries, print_reference
from reprotune.params.values import read_document

ROOT = Path(__file__).resolve().parents[2]


def keys(values: dict[str, object], prefix: str = "") -> list[str]:
    result: list[str] = []
    for key, value in values.items():
        result += keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return result


def test_every_key_is_there_in_the_order_of_the_file() -> None:
    entries = param_entries()
    assert [entry.key for entry in entries] == keys(read_document(ROOT / "params.yaml"))
    assert all(entry.meaning.endswith(".") for entry in entries)


def test_defaults_and_choices_come_from_the_schema() -> None:
    entries = {entry.key: entry for entry in param_entries()}
    assert entries["tokenize.on_too_long"].values == "drop, truncate_prompt, truncate_response, fail"
    assert entries["finetune.grad_clip"].values == "number or null"
    assert entries["fetch.dataset.sha256"].default == "null"
    assert entries["finetune.drop_last"].default == "false"


def test_markdown_is_one_table_with_a_line_per_key() -> None:
    lines = markdown_table().splitlines()
    assert len(lines) == len(param_entries()) + 2
    assert {line.count("|") for line in lines} == {5}


def test_the_printed_reference_fits_a_narrow_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_reference()
    output = capsys.readouterr().out
    assert "finetune.learning_rate" in output
    assert max(map(len, output.splitlines())) <= 40

"""Presets: each is valid, changes only its own keys, and leaves comments and layout alone."""

from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.presets import DEFAULT, apply_preset, list_presets, load_preset, preset_values
from reprotune.params.values import read_document

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
NAMES = [preset.name for preset in list_presets()]


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    return path


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip().startswith("#")]


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result


def test_params_yaml_as_it_ships_is_the_preset_embedded() -> None:
    assert (
        read_document(ROOT / "params.yaml")
        == read_document(ROOT / "src/reprotune/params/presets/embedded.yaml")["params"]
    )


def test_the_promised_presets_are_there_and_described() -> None:
    assert NAMES[0] == DEFAULT
    promised = {"chapter-small", "chapter-medium", "chapter-parity", "phi3", "masked", "unmasked", "lora", "control"}
    assert promised <= set(NAMES)
    assert all(preset.description and "\n" not in preset.description for preset in list_presets())


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_changes_its_keys_and_nothing_else(params_file: Path, name: str) -> None:
    apply_preset(name, params_file)
    text = params_file.read_text(encoding="utf-8")
    assert comments(text) == comments(SHIPPED)
    assert [line.split(":")[0] for line in text.splitlines()] == [line.split(":")[0] for line in SHIPPED.splitlines()]
    before, after = flat(read_document(ROOT / "params.yaml")), flat(read_document(params_file))
    changed = {key for key in after if before[key] != after[key]}
    named = flat(load_preset(name).params)
    assert changed <= set(named)
    assert all(after[key] == value for key, value in named.items())
    Document.read(params_file)


def test_the_way_back_to_the_defaults_restores_every_byte(params_file: Path) -> None:
    for name in [*NAMES, *reversed(NAMES)]:
        apply_preset(name, params_file)
    assert params_file.read_text(encoding="utf-8") == SHIPPED
    assert apply_preset(DEFAULT, params_file) == []


def test_a_preset_does_not_depend_on_what_stood_before(params_file: Path) -> None:
    apply_preset("lora", params_file)
    direct = params_file.read_text(encoding="utf-8")
    apply_preset("chapter-parity", params_file)
    params_file.write_text(params_file.read_text(encoding="utf-8").replace("max_chars: 20000", "max_chars: 5"))
    apply_preset("lora", params_file)
    assert params_file.read_text(encoding="utf-8") == direct


def test_comments_of_the_user_s_own_stay(params_file: Path) -> None:
    own = SHIPPED.replace("  epochs: 2\n", "  epochs: 7  # tried 5 as well\n")
    params_file.write_text(own, encoding="utf-8")
    assert list(map(str, apply_preset("unmasked", params_file))) == [
        "finetune.epochs: 7 -> 2",
        "finetune.mask_instruction: true -> false",
    ]
    assert "  epochs: 2  # tried 5 as well\n" in params_file.read_text(encoding="utf-8")


def test_numbers_keep_their_spelling_and_null_is_written_out(params_file: Path) -> None:
    apply_preset("chapter-parity", params_file)
    text = params_file.read_text(encoding="utf-8")
    assert "  learning_rate: 5e-5\n" in text
    assert "  grad_clip: null\n" in text


def test_chapter_parity_is_the_chapter_s_run() -> None:
    params = Document.parse("params", preset_values("chapter-parity"))
    assert (params.split.train, params.split.test, params.split.order) == (0.85, 0.1, "file")
    assert not params.split.group_near_duplicates
    assert params.format.response_header == "in_response"
    train = params.finetune
    assert (train.learning_rate, train.weight_decay, train.beta1, train.beta2) == (5e-5, 0.1, 0.9, 0.999)
    assert (train.epochs, train.batch_size, train.schedule, train.warmup_fraction) == (2, 8, "constant", 0)
    assert (train.drop_last, train.decay_all, train.grad_clip, train.precision) == (True, True, None, "fp32")
    assert (params.judge.backend, params.judge.model, params.judge.rubric) == ("ollama", "llama3", "chapter")


@pytest.mark.parametrize("broken", ["finetune: {epochs: 3}\nunknown: 1\n", "- a list\n", "a: [\n"])
def test_a_file_that_would_not_be_valid_is_left_alone(params_file: Path, broken: str) -> None:
    params_file.write_text(broken, encoding="utf-8")
    with pytest.raises(UserError):
        apply_preset("lora", params_file)
    assert params_file.read_text(encoding="utf-8") == broken
    assert list(params_file.parent.iterdir()) == [params_file]


def test_an_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(UserError, match=r"choose one of chapter-medium, .*phi3"):
        apply_preset("../embedded")

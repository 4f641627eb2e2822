"""Presets: each is valid, sets its own keys, and leaves other settings, comments and layout alone."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.presets import DEFAULT, Application, list_presets, load_preset, own_sections, preset_values
from reprotune.params.presets import apply_preset as work_out
from reprotune.params.values import flattened, read_document
from tests.builders.command_line import reprotune

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
NAMES = [preset.name for preset in list_presets()]


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    return path


def apply_preset(name: str, path: Path, reset: bool = False) -> Application:
    application = work_out(name, path, reset)
    application.write()
    return application


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
    assert apply_preset(DEFAULT, params_file).changes == []


def test_a_reset_does_not_depend_on_what_stood_before(params_file: Path) -> None:
    apply_preset("lora", params_file)
    direct = params_file.read_text(encoding="utf-8")
    apply_preset("chapter-parity", params_file)
    params_file.write_text(params_file.read_text(encoding="utf-8").replace("max_chars: 20000", "max_chars: 5"))
    assert apply_preset("lora", params_file, reset=True).kept == []
    assert params_file.read_text(encoding="utf-8") == direct


def test_presets_are_applied_on_top_of_one_another_and_of_settings(params_file: Path) -> None:
    params_file.write_text(SHIPPED.replace("  epochs: 2\n", "  epochs: 7  # tried 5 as well\n"), encoding="utf-8")
    assert list(map(str, apply_preset("unmasked", params_file).changes)) == ["finetune.mask_instruction: true -> false"]
    application = apply_preset("lora", params_file)
    assert list(map(str, application.changes)) == ["finetune.method: full -> lora"]
    assert list(map(str, application.kept)) == ["finetune.epochs: 7 -> 2", "finetune.mask_instruction: false -> true"]
    assert "  epochs: 7  # tried 5 as well\n" in params_file.read_text(encoding="utf-8")
    changes = list(map(str, apply_preset("chapter-small", params_file).changes))
    assert changes[-2:] == ["judge.pairwise: true -> false", "benchmark.text: embedded -> null"]
    assert "fetch.benchmark.source: embedded -> null" in changes, "the exam is about the embedded base"
    assert "  epochs: 2  # tried 5 as well\n" in params_file.read_text(encoding="utf-8"), "one of its own keys"


def test_layout_stays_with_any_indent_and_line_ends(params_file: Path) -> None:
    wide = "".join(
        line.replace("  ", "    ", (len(line) - len(line.lstrip())) // 2) for line in SHIPPED.splitlines(keepends=True)
    )
    params_file.write_bytes(wide.replace("\n", "\r\n").encode())
    apply_preset("lora", params_file)
    changed = wide.replace("method: full", "method: lora").replace("\n", "\r\n")
    assert params_file.read_bytes() == changed.encode()


OWN_DATA = (("source: embedded", "source: data/mine.csv"), ("instruction: instruction", "instruction: question"))
OWN_JUDGE = (
    ("backend: offline", "backend: openai"),
    ("model: llama3", "model: mine"),
    ("canaries: 12", "canaries: 30"),
)
OWN_BENCHMARK = (
    ("source: embedded\n    # what the metrics", "source: my/items.jsonl\n    # what the metrics"),
    ("text: embedded", "text: my/text.txt"),
)
ON_OLLAMA = (("backend: offline", "backend: ollama"), ("model: llama3", "model: mistral"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "edits",
    [(), OWN_DATA, OWN_JUDGE, OWN_DATA + ON_OLLAMA, OWN_BENCHMARK],
    ids=["as shipped", "data", "judge", "both", "benchmark"],
)
def test_show_prints_exactly_what_apply_sets(
    params_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, edits: tuple[tuple[str, str], ...]
) -> None:
    text = SHIPPED
    for old, new in edits:
        text = text.replace(old, new, 1)
    params_file.write_text(text, encoding="utf-8")
    before = flattened(read_document(params_file))
    monkeypatch.chdir(params_file.parent)
    shown = YAML(typ="safe", pure=True).load(reprotune("preset", "show", name).stdout)["params"]
    dry = reprotune("preset", "apply", name, "--dry-run").stdout
    assert params_file.read_text(encoding="utf-8") == text, "a dry run writes nothing"
    applied = reprotune("preset", "apply", name).stdout
    assert flattened(read_document(params_file)) == before | flattened(shown)
    assert dry.splitlines()[:-1] == applied.splitlines()[:-1], "the same changes are shown first"


def test_elsewhere_show_prints_the_whole_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        shown = YAML(typ="safe", pure=True).load(reprotune("preset", "show", name).stdout)
        assert flattened(shown["params"]) == flattened(load_preset(name).params)


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        (("source: embedded", "source: https://example.org/rows.json"), ["fetch.dataset", "split.order"]),
        (("backend: offline", "backend: openai"), ["judge"]),
        (("model: llama3", "model: mistral"), ["judge"]),
        (("rubric: reference", "rubric: mine.jinja"), ["judge"]),
        (("rubric: reference", "rubric: chapter"), []),
        (("canaries: 12", "canaries: 30"), []),
        (("max_chars: 20000", "max_chars: 5"), []),
    ],
)
def test_what_names_something_of_the_user_s_own_stays(
    params_file: Path, edit: tuple[str, str], kept: list[str]
) -> None:
    params_file.write_text(SHIPPED.replace(*edit, 1), encoding="utf-8")
    before = read_document(params_file)
    apply_preset("chapter-parity", params_file)
    after = read_document(params_file)
    assert own_sections(before) == own_sections(after) == kept
    assert (after["fetch"]["dataset"] == before["fetch"]["dataset"]) == ("fetch.dataset" in kept)
    assert (after["judge"] == before["judge"]) == ("judge" in kept)
    assert after["finetune"]["batch_size"] == 8 and after["fetch"]["base"]["source"] == "gpt2-medium"
    apply_preset("chapter-parity", params_file, reset=True)
    assert read_document(params_file) == preset_values("chapter-parity")


@pytest.mark.parametrize(
    ("edit", "preset", "reset", "other_files"),
    [
        (("source: embedded", "source: mine.jsonl"), DEFAULT, True, True),
        (("source: embedded", "source: mine.jsonl"), DEFAULT, False, False),
        (("source: embedded", "source: mine.jsonl"), "chapter-small", False, False),
        (("source: embedded", "source: mine.jsonl"), "chapter-small", True, True),
        (("template: alpaca", "template: mine.jinja"), "phi3", False, True),
        (("template: alpaca", "template: mine.jinja"), "lora", False, False),
        (("template: alpaca", "template: mine.jinja"), "lora", True, True),
        (("rubric: reference", "rubric: mine.jinja"), DEFAULT, True, True),
        (("mapping: null", "mapping: mine.json"), DEFAULT, True, True),
        (("max_chars: 20000", "max_chars: many"), DEFAULT, True, True),
    ],
)
def test_deps_have_to_follow_where_a_stage_reads_other_files(
    params_file: Path, edit: tuple[str, str], preset: str, reset: bool, other_files: bool
) -> None:
    assert edit[0] in SHIPPED
    params_file.write_text(SHIPPED.replace(*edit, 1), encoding="utf-8")
    assert work_out(preset, params_file, reset).other_files == other_files


def test_a_model_of_the_hub_instead_of_a_folder_of_one_s_own_is_another_dep(params_file: Path) -> None:
    head, base, tail = SHIPPED.partition("  base:\n")
    params_file.write_text(head + base + tail.replace("source: embedded", "source: models/mine", 1), encoding="utf-8")
    assert work_out("chapter-small", params_file).other_files


def test_numbers_keep_their_spelling_and_null_is_written_out(params_file: Path) -> None:
    apply_preset("chapter-parity", params_file)
    text = params_file.read_text(encoding="utf-8")
    assert "  learning_rate: 5e-5\n" in text
    assert "  grad_clip: null\n" in text


def test_chapter_parity_is_the_chapter_s_run() -> None:
    params = Document.parse("", preset_values("chapter-parity"))
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
    with pytest.raises(UserError) as caught:
        apply_preset("lora", params_file)
    assert "git checkout" not in str(caught.value), "that would throw edits away"
    assert params_file.read_text(encoding="utf-8") == broken
    assert list(params_file.parent.iterdir()) == [params_file]


def test_an_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(UserError, match=r"choose one of chapter-medium, .*phi3"):
        work_out("../embedded")

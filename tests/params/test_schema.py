"""How params.yaml is read: YAML 1.2, strict types, all faults at once."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.sections.split import SplitParams
from reprotune.params.values import read_document

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def edited(change: tuple[str, str]) -> str:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    return text.replace(*change, 1)


def test_the_repositorys_own_file_is_valid() -> None:
    assert Document.read(ROOT / "params.yaml").split.order == "file"


def test_numbers_are_read_as_dvc_reads_them(write: Path) -> None:
    write.write_text("a: 1e-3\nb: yes\nc: 012\n")
    assert read_document(write) == {"a": 0.001, "b": "yes", "c": 12}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("  epochs: ", "  epoch: "), "finetune.epoch is not a known key"),
        (
            ("  batching: packed", "  batching: padded"),
            "finetune.batching should be 'static', 'dynamic', 'bucketed' or 'packed', but it is 'padded'",
        ),
        (("  epochs: 2", "  epochs: 0"), "finetune.epochs should be at least 1, but it is 0"),
        (("  learning_rate: 5e-4", "  learning_rate: .inf"), "finetune.learning_rate should be a finite number"),
        (("  drop_last: false", "  drop_last: no"), "finetune.drop_last should be true or false, but it is 'no'"),
        (
            ("  lora:\n    rank: 16\n    alpha: 256", "  lora: 3"),
            "finetune.lora should be a section with keys of its own, but it is 3",
        ),
        (
            ("  seed: 123\n\ngenerate", "  seed: '123'\n\ngenerate"),
            "finetune.seed should be a whole number, but it is '123'",
        ),
    ],
)
def test_a_fault_names_key_and_value(write: Path, change: tuple[str, str], sentence: str) -> None:
    write.write_text(edited(change))
    with pytest.raises(UserError) as caught:
        FinetuneParams.load("finetune", write)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_listed_at_once(write: Path) -> None:
    text = edited(("  order: file", "  order: random")).replace("  train: 0.8", "  train: 1.8")
    write.write_text(text)
    with pytest.raises(UserError, match=r"split\.train .* but it is 1\.8; split\.order .* but it is 'random'"):
        SplitParams.load("split", write)


def test_shares_must_leave_room_for_validation(write: Path) -> None:
    write.write_text(edited(("  test: 0.13", "  test: 0.2")))
    with pytest.raises(UserError, match=r"split: train \+ test should be below 1, so that validation gets rows$"):
        SplitParams.load("split", write)


def test_a_missing_file_section_or_bad_syntax_is_one_sentence(write: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing"):
        SplitParams.load("split", write)
    write.write_text("format:\n  a: [1\n")
    with pytest.raises(UserError, match="not valid YAML"):
        SplitParams.load("split", write)
    write.write_text("format: {}\n")
    with pytest.raises(UserError, match="section split is missing"):
        SplitParams.load("split", write)

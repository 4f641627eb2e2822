"""How params.yaml is read: YAML 1.2, strict types, all faults at once."""

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.params.reference import param_entries
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
            ("  lora:\n    rank: 16", "  lora: 3\n  other:\n    rank: 16"),
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


LISTED = "(`reprotune params` lists them)"
JUDGES = "'offline', 'ollama' or 'openai'"
SECTIONS = "fetch, split, format, tokenize, finetune, generate, judge, benchmark, preference, export"
TABLE = [
    # what is in the file, what is there instead, what is said
    ("  backend: offline", "  backend: olama", f"judge.backend should be {JUDGES}, but it is 'olama'"),
    ("  backend: offline", "  backend: [offline]", f"judge.backend should be {JUDGES}, but it is ['offline']"),
    ("  backend: offline", "  backend:", f"judge.backend should be {JUDGES}, but it is null"),
    ("  epochs: 2", "  epochs: true", "finetune.epochs should be a whole number, but it is true"),
    ("  epochs: 2", "  epochs: 2.5", "finetune.epochs should be a whole number, but it is 2.5"),
    ("  epochs: 2", "  epochs: [2]", "finetune.epochs should be a whole number, but it is [2]"),
    ("  epochs: 2", "  epochs: {a: 2}", "finetune.epochs should be a whole number, but it is a section"),
    ("  epochs: 2", "  epochs: 2026-01-31", "finetune.epochs should be a whole number, but it is 2026-01-31"),
    ("  epochs: 2", "  epochs: -1", "finetune.epochs should be at least 1, but it is -1"),
    ("  learning_rate: 5e-4", "  learning_rate: true", "finetune.learning_rate should be a number, but it is true"),
    ("  learning_rate: 5e-4", "  learning_rate: '5e-4'", "finetune.learning_rate should be a number, but it is '5e-4'"),
    ("  learning_rate: 5e-4", "  learning_rate: 0", "finetune.learning_rate should be above 0, but it is 0"),
    ("  beta2: 0.95", "  beta2: 1", "finetune.beta2 should be below 1, but it is 1"),
    ("  top_p: null", "  top_p: 1.5", "generate.top_p should be at most 1, but it is 1.5"),
    ("  drop_last: false", "  drop_last: 0", "finetune.drop_last should be true or false, but it is 0"),
    (
        "    sha256: null",
        "    sha256: abc",
        "fetch.dataset.sha256 should be 64 hexadecimal digits (0-9, a-f), but it is 'abc'",
    ),
    ("  template: alpaca", "  template: ''", "format.template should be text that is not empty, but it is ''"),
    (
        "  rubric: reference",
        "  rubric: x",
        "judge.rubric is 'x': it should be chapter, reference or a path that ends in .jinja",
    ),
    ("  mapping: null", "  mapping: 3", "judge.mapping should be text, but it is 3"),
    ("  epochs: 2\n", "", "finetune.epochs is missing: add it (`reprotune params` shows its default)"),
    (
        "  epochs: 2\n",
        "  epochs: 2\n  batchsize: 8\n",
        f"finetune.batchsize is not a known key: did you mean finetune.batch_size? {LISTED}",
    ),
    (
        "  epochs: 2\n",
        "  epochs: 2\n  top_k: 8\n",
        f"finetune.top_k is not a known key: did you mean generate.top_k? {LISTED}",
    ),
    ("  epochs: 2\n", "  epochs: 2\n  zzz: 8\n", f"finetune.zzz is not a known key {LISTED}"),
    ("  epochs: 2\n", "  epochs: 2\n  7: 8\n", f"finetune.7 is not a known key {LISTED}"),
    (
        "    rank: 16\n",
        "    rank: 16\n    alfa: 8\n",
        f"finetune.lora.alfa is not a known key: did you mean finetune.lora.alpha? {LISTED}",
    ),
    ("judge:\n", "x: 1\njudge:\n", f"x is not a known key {LISTED}"),
    ("  epochs: 2", "  epochs: " + "x" * 200, "finetune.epochs should be a whole number, but it is '" + "x" * 78 + "…"),
]


@pytest.mark.parametrize(("there", "instead", "said"), TABLE)
def test_every_kind_of_fault_is_named_at_its_place_in_the_document(
    write: Path, there: str, instead: str, said: str
) -> None:
    write.write_text(edited((there, instead)))
    with pytest.raises(UserError) as caught:
        Document.read(write)
    assert str(caught.value) == f"{write}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f": the file should hold the sections {SECTIONS}, but it is null"),
        ("- a\n", f": the file should hold the sections {SECTIONS}, but it is ['a']"),
        ("a: 1\nb: ]\n", " line 2 is not valid YAML: expected the node content, but found ']'"),
        ("a: 1\na: 2\n", ' line 2 is not valid YAML: found duplicate key "a" with value "2" (original value: "1")'),
    ],
)
def test_a_file_that_is_no_document_is_one_sentence(write: Path, text: str, said: str) -> None:
    write.write_text(text)
    with pytest.raises(UserError) as caught:
        Document.read(write)
    assert str(caught.value) == f"{write}{said}"


def test_another_encoding_is_named_with_its_line(write: Path) -> None:
    write.write_bytes("a: 1\nb: na\u00efve\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml line 2 is not UTF-8 text \(byte 0xef\): save the file as UTF-8"):
        Document.read(write)


WRONG: list[Any] = [None, True, 0, -1, 1.5, 2.0, 10**30, float("nan"), float("-inf"), "", "x", "\x1b[31m", [], [1], {}]
WRONG += [{1: 2}, {None: 1}, b"x", datetime.date(2026, 1, 31), {"a": {"b": []}}, {(1, 2): 3}]


@pytest.mark.parametrize("key", ["", "judge", "fetch", "finetune.lora", *(entry.key for entry in param_entries())])
def test_no_value_is_answered_in_the_words_of_pydantic(key: str) -> None:
    for wrong in WRONG:
        document = read_document(ROOT / "params.yaml")
        *parents, last = key.split(".")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = wrong
        try:
            Document.parse("", document if key else wrong)
        except UserError as error:
            said = str(error)
            for fault in said.removeprefix("params.yaml: ").split("; "):
                assert re.search(r"should be |should hold |is not a known key|is missing: add it|cannot be ", fault), (
                    fault
                )
            assert not re.search(r"Input|pydantic|instance|validation error|https?:", said), said
            assert said.isprintable()


def test_all_faults_are_listed_at_once(write: Path) -> None:
    text = edited(("  order: file", "  order: random")).replace("  train: 0.8", "  train: 1.8")
    write.write_text(text)
    with pytest.raises(UserError, match=r"split\.train is 1\.8: it should be .*; split\.order .* but it is 'random'"):
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


@pytest.mark.parametrize("key", ["fetch.dataset.source", "fetch.base.source", "format.template", "judge.rubric"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("~nosuchuser/x.jinja", "there is no such user: write the path of the folder instead"),
        ("x/" * 2500 + "x.jinja", "it should be a path of at most 4095 bytes, 255 for each part, without NUL"),
        ("x" * 300 + ".jinja", "it should be a path of at most 4095 bytes"),
        ("a\0b.jinja", "it should be a path of at most 4095 bytes"),
        ("http://[::1/x.jinja", "it should be a URL with a host"),
        ("https:///x.jinja", "it should be a URL with a host"),
        ("http://h:99999999/x.jinja", "it should be a URL with a host"),
        ("a\ud83d.jinja", "cannot be"),
    ],
    ids=lambda text: text[:12],
)
def test_what_can_name_no_file_is_one_short_sentence(write: Path, key: str, value: str, words: str) -> None:
    params: dict[str, Any] = read_document(ROOT / "params.yaml")
    *sections, last = key.split(".")
    place = params
    for section in sections:
        place = place[section]
    place[last] = value
    with pytest.raises(UserError, match=re.escape(key)) as refusal:
        Document.parse("", params, write)
    assert words in str(refusal.value) and len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("finetune", "seed", 2**64, "should be at most 9,007,199,254,740,992, but it is 18446744073709551616"),
        ("split", "seed", -1, "should be at least 0, but it is -1"),
        ("generate", "temperature", 1e-320, "is 1e-320: it should be 0, or at least 0.0001"),
        ("judge", "temperature", 1e300, "should be at most 1000, but it is 1e+300"),
        ("generate", "max_new_tokens", 10**30, "should be at most 1,000,000,000"),
        ("judge", "repeats", 2000, "should be at most 1000"),
    ],
)
def test_numbers_stay_within_what_libraries_compute_with(section: str, key: str, value: float, words: str) -> None:
    params: dict[str, Any] = read_document(ROOT / "params.yaml")
    params[section][key] = value
    with pytest.raises(UserError, match=re.escape(words)):
        Document.parse("", params)

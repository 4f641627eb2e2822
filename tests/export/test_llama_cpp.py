"""Exported files in llama.cpp's own server: the same prompts, ids and answers as with our decoder, from messages."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from reprotune.compute.device import pick_compute
from reprotune.errors import UserError
from reprotune.export import llama_cpp
from reprotune.export.files import findings, write_files
from reprotune.export.parity import ROWS, our_answers
from reprotune.params.sections.export import ExportParams
from tests.builders.llama_cpp import needs_llama_cpp
from tests.builders.llama_cpp import serving as server_of_tests
from tests.export.conftest import RECORDS, Ready

pytestmark = needs_llama_cpp

Prepared = Callable[..., Ready]


def parameters(*quantisations: str) -> ExportParams:
    return ExportParams.parse("export", {"formats": ["gguf"], "quantisations": list(quantisations)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("embedded", "alpaca"),
        ("gpt2", "alpaca"),
        ("llama", "alpaca"),
        ("llama_tied_stretched", "chat"),
        ("llama_pieces", "alpaca"),
        ("llama_pieces", "chat"),
        ("mistral", "phi3"),
        ("qwen2", "chat"),
        ("qwen3", "alpaca"),
    ],
)
def test_20_of_20_answers_from_messages(kind: str, template: str, prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared(kind, template)
    assert write_files(ready.exported, parameters("f16"), tmp_path) == {}
    answers = our_answers(ready.exported.model, ready.rows, ready.exported.tokenizer, 24)
    assert answers == [record["output"] for record in RECORDS]
    with server_of_tests(tmp_path / "model-f16.gguf", tmp_path / "log.txt") as address:
        for row, answer in zip(ready.rows, answers, strict=True):
            body = {"messages": list(row.messages), "temperature": 0, "max_tokens": 24}
            reply = requests.post(f"{address}/v1/chat/completions", json=body, timeout=120).json()
            content = reply["choices"][0]["message"]["content"]
            assert (content.removeprefix(" ") if kind == "llama_pieces" else content) == answer
            assert reply["choices"][0]["finish_reason"] == "stop"
            assert reply["usage"]["prompt_tokens"] == len(row.ids)
    assert len(answers) == ROWS


def test_what_is_found_out(prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared("llama", "alpaca")
    omitted = write_files(ready.exported, parameters("q8_0"), tmp_path)
    found = findings(ready.exported, ready.rows, omitted, tmp_path, pick_compute("fp32"))
    assert found["checked_with"].startswith("xllamacpp 20")
    assert (found["rows"], found["why_not"], found["omitted"]) == (ROWS, None, {})
    file = found["files"]["q8_0"]
    assert (file["same_prompts"], file["same_ids"]) == (1.0, 1.0)
    assert file["same_answers"] >= 0.9
    assert file["bytes"] == (tmp_path / "model-q8_0.gguf").stat().st_size


def test_a_wrong_template_would_be_found(prepared: Prepared, tmp_path: Path) -> None:
    ready = prepared("llama", "alpaca")
    other = prepared("llama", "phi3", trained=False)
    exported = type(ready.exported)(
        ready.exported.model, ready.exported.files, ready.exported.tokenizer, other.exported.form, 24
    )
    write_files(exported, parameters("f16"), tmp_path)
    found = findings(exported, ready.rows, {}, tmp_path, pick_compute("fp32"))["files"]["f16"]
    assert (found["same_prompts"], found["same_ids"]) == (0.0, 0.0)


def test_a_file_that_it_cannot_load_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing else")
    with (
        pytest.raises(UserError, match=r"llama.cpp does not work with broken.gguf \(.*\): set export.formats to \[\]"),
        llama_cpp.serving(tmp_path / "broken.gguf", 64),
    ):
        pass

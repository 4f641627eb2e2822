"""The stages export and card as processes: what they write, what they leave out and say, and the same again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from ruamel.yaml import YAML

from reprotune.artifacts import FORMATTED, RECORDS, write_json, write_table, write_text
from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.templates.messages import CHAT_TEMPLATE, MESSAGES, MessageForm, refused_form
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.model.config import ModelConfig, Rotary
from reprotune.model.network import Network
from reprotune.model.weights import save_model
from tests.builders.llama_cpp import needs_llama_cpp

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"id": f"r{place}", "instruction": text, "input": "", "output": "4", "category": None, "source_row": place}
    for place, text in enumerate(("Add.", "Spell <|im_end|> out.", "Subtract."))
]
ALL = {"Modelfile", "chat_template.jinja", "generation_config.json", "model-f16.gguf", "parity.json"}


@pytest.fixture
def project(tmp_path: Path, qwen_folder: Path) -> Path:
    """A folder with a tiny model of Qwen's kind and test rows, one of which spells a special token."""
    shutil.copytree(qwen_folder, tmp_path / "data/base")
    config = ModelConfig(
        n_layer=1,
        n_head=2,
        n_embd=32,
        n_positions=128,
        vocab_size=720,
        n_kv_head=2,
        norm="rms",
        rotary=Rotary(10_000.0),
        gated=True,
        out_bias=False,
        mlp_bias=False,
        family="qwen2",
    )
    model = Network(config)
    model.initialize(torch.Generator().manual_seed(0))
    save_model(model, tmp_path / "data/model")
    formatter = load_formatter("alpaca", read_tokenizer_files(tmp_path / "data/base"), "in_prompt", "all")
    write_form(tmp_path, formatter.messages())
    write_table(tmp_path / "data/split/test.parquet", pa.Table.from_pylist(ROWS, schema=RECORDS))
    table = pa.Table.from_pylist(formatter.records(ROWS), schema=FORMATTED)
    write_table(tmp_path / "data/formatted/test.parquet", table)
    return tmp_path


def write_form(project: Path, form: MessageForm) -> None:
    write_text(project / "data/formatted" / CHAT_TEMPLATE, form.source)
    write_json(project / "data/formatted" / MESSAGES, form.document())


def run(project: Path, stage: str = "export", **changes: Any) -> "subprocess.CompletedProcess[str]":
    """Run a stage under the default params with changes of its section; without llama.cpp, but where `bindings`."""
    bindings = changes.pop("bindings", False)
    yaml = YAML()
    document = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    document["generate"]["max_new_tokens"] = 5
    document["export"] |= changes
    yaml.dump(document, project / "params.yaml")
    path = [str(ROOT), str(ROOT / "src")]
    hide = "" if bindings else HIDE
    program = f"import runpy, importlib.util\n{hide}runpy.run_module('stages.{stage}', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "REPROTUNE_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


HIDE = """
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == 'xllamacpp' else found(name, *rest)
"""


def parity(project: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((project / "data/export/gguf/parity.json").read_text())
    return document


def contents(project: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / "data/export/gguf").iterdir()}


def test_without_llama_cpp_the_files_are_written_and_that_is_said(project: Path) -> None:
    done = run(project, quantisations=["q8_0", "f16"])
    assert done.returncode == 0, done.stderr
    assert "not compared with llama.cpp: llama.cpp is not installed here: run `pip install xllamacpp`" in done.stderr
    first = contents(project)
    assert first.keys() == ALL | {"model-q8_0.gguf"}
    assert b"FROM ./model-q8_0.gguf\n" in first["Modelfile"]
    assert b"PARAMETER num_ctx 128\nPARAMETER num_predict 5\n" in first["Modelfile"]
    decoding = json.loads(first["generation_config.json"])
    assert (decoding["max_new_tokens"], decoding["do_sample"]) == (5, False)
    assert (parity(project)["checked_with"], parity(project)["rows"]) == (None, 0)
    assert set(parity(project)["files"]["f16"]) == {"bytes", "sha256"}
    assert run(project, quantisations=["q8_0", "f16"]).returncode == 0
    assert contents(project) == first


@needs_llama_cpp
def test_with_llama_cpp_the_rows_are_compared(project: Path) -> None:
    done = run(project, bindings=True)
    assert done.returncode == 0, done.stderr
    found = parity(project)
    assert found["checked_with"].startswith("xllamacpp ")
    assert found["rows"] == 2, "the row that spells a special token is left out"
    assert (found["files"]["f16"]["same_prompts"], found["files"]["f16"]["same_ids"]) == (1.0, 1.0)
    assert "export: f16: of 2 test rows, llama.cpp has the same prompt in 100%, the same ids in 100%" in done.stderr


def test_no_formats(project: Path) -> None:
    done = run(project, formats=[])
    assert done.returncode == 0, done.stderr
    assert contents(project).keys() == {"chat_template.jinja", "generation_config.json", "parity.json"}
    assert parity(project)["why_not"] == "no GGUF file was written"


def test_a_tokenizer_that_llama_cpp_does_not_have_stops_nothing(project: Path, spm_folder: Path) -> None:
    shutil.rmtree(project / "data/base")
    shutil.copytree(spm_folder, project / "data/base")
    file = project / "data/base/tokenizer.json"
    file.write_text(file.read_text().replace('"prepend_scheme": "first"', '"prepend_scheme": "always"'))
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert "export: no f16 file: data/base/tokenizer.json puts blanks before text by a rule" in done.stderr
    assert parity(project)["files"] == {}
    assert "transformers or vLLM" in parity(project)["omitted"]["f16"]
    assert "Modelfile" not in contents(project)


def test_prompts_that_no_message_becomes(project: Path) -> None:
    write_form(project, refused_form("the template own.jinja is none for messages"))
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert "TEMPLATE {{ .Prompt }}\n" in contents(project)["Modelfile"].decode()
    assert "not compared with llama.cpp: " in done.stderr


@pytest.mark.parametrize("content", ["[]", "{}", '{"input_before": 5, "input_after": "", "refused": null}', "{"])
def test_a_damaged_form_is_one_sentence(project: Path, content: str) -> None:
    (project / "data/formatted/messages.json").write_text(content)
    done = run(project)
    assert done.returncode == 1
    assert "data/formatted/messages.json" in done.stderr
    assert "run `dvc repro format`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "data/export").exists()


def test_a_wrong_param_is_one_sentence(project: Path) -> None:
    done = run(project, quantisations=["q2_k"])
    assert done.returncode == 1
    assert "export.quantisations" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_model_card(workspace: Path) -> None:
    (workspace / "data/model/model.safetensors").write_bytes(b"weights")
    done = run(workspace, "card", bindings=True)
    assert done.returncode == 0, done.stderr
    card = (workspace / "data/export/README.md").read_text(encoding="utf-8")
    for words in (
        "license: apache-2.0",
        "| this model | 57.9 | 53.7 to 62.1 | 60 | 0 |",
        "is clearly better than the base model (p = 0.0001)",
        "`INSTRUCTION\\n\\n### Input:\\nINPUT`".strip("`"),
        "| model-f16.gguf | 34.4 MB | 100% | 100% | 95% |",
        "| `finetune.learning_rate` | ` 0.0005 ` |",
    ):
        assert words in card
    assert "<script>" not in card.replace("`` <script>", "").replace("` <script>", "")
    before = card
    assert run(workspace, "card", bindings=True).returncode == 0
    assert (workspace / "data/export/README.md").read_text(encoding="utf-8") == before

"""SmolLM2-135M-Instruct, a real model of the Llama family: exported, and asked through llama.cpp from messages."""

from pathlib import Path

import pytest
import torch

from reprotune.compute.device import Compute
from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.export.files import Exported, findings, write_files
from reprotune.export.parity import ROWS, asked_rows
from reprotune.model.source import fetch_base
from reprotune.model.weights import load_model
from reprotune.params.sections.export import ExportParams
from reprotune.params.sections.fetch import BaseParams
from tests.builders.llama_cpp import needs_llama_cpp
from tests.generation.test_llama_cpp import QUESTIONS

pytestmark = [pytest.mark.slow, needs_llama_cpp]

MOST_TOKENS = 24


def test_it_answers_as_with_our_decoder(smollm_file: Path, tmp_path: Path) -> None:
    """With the model's own chat template; its weights, made of a Q4_1 file, are rounded once more to float16."""
    base, target = tmp_path / "base", tmp_path / "export"
    target.mkdir()
    fetch_base(BaseParams(source=str(smollm_file), revision=None), base)
    files, tokenizer, model = read_tokenizer_files(base), load_tokenizer(base), load_model(base).eval()
    formatter = load_formatter("chat", files, "in_prompt", "all")
    form = formatter.messages()
    records = [
        {"id": question, "instruction": question, "input": "", "output": ".", "category": None}
        for question in QUESTIONS
    ]
    rows = asked_rows(records, formatter.records(records), form, tokenizer, model.config.n_positions)
    exported = Exported(model, files, tokenizer, form, MOST_TOKENS)
    params = ExportParams.parse("export", {"formats": ["gguf"], "quantisations": ["f16", "q8_0"]})
    assert write_files(exported, params, target) == {}
    found = findings(exported, rows, {}, target, Compute(torch.device("cpu"), torch.float32))
    assert (found["rows"], found["why_not"]) == (ROWS, None)
    for file in found["files"].values():
        assert (file["same_prompts"], file["same_ids"]) == (1.0, 1.0)
    assert found["files"]["f16"]["same_answers"] == 1.0
    assert found["files"]["q8_0"]["same_answers"] >= 0.3

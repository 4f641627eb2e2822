"""Write the fine-tuned model for llama.cpp and Ollama, and check that it answers there as it does here."""

from pathlib import Path
from typing import Any

from reprotune.artifacts import (
    FORMATTED,
    FORMATTED_TURNS,
    RECORD_SCHEMAS,
    read_table,
    replaced_directory,
    schema_of,
    write_json,
)
from reprotune.compute.device import pick_compute
from reprotune.console import note
from reprotune.dataset.templates.messages import read_form
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.export.files import Exported, findings, write_files
from reprotune.export.parity import asked_rows
from reprotune.model.weights import load_model
from reprotune.params.sections.export import ExportParams
from reprotune.params.sections.generate import GenerateParams
from reprotune.pipeline.stage import run_stage

BASE = Path("data/base")
MODEL = Path("data/model")
FORMATTED_FOLDER = Path("data/formatted")
TEST_RECORDS = Path("data/split/test.parquet")
OUTPUT = Path("data/export/gguf")


def main() -> None:
    """Write what `export.formats` asks for, and parity.json, which tells how it compares."""
    params = ExportParams.load("export")
    most_tokens = GenerateParams.load("generate").max_new_tokens
    form, tokenizer = read_form(FORMATTED_FOLDER), load_tokenizer(BASE)
    compute = pick_compute("fp32")
    exported = Exported(load_model(MODEL, compute.device), read_tokenizer_files(BASE), tokenizer, form, most_tokens)
    prompts = FORMATTED_FOLDER / "test.parquet"
    formatted = read_table(prompts, schema_of(prompts, FORMATTED, FORMATTED_TURNS)).to_pylist()
    records = read_table(TEST_RECORDS, schema_of(TEST_RECORDS, *RECORD_SCHEMAS)).to_pylist()
    rows = asked_rows(records, formatted, form, tokenizer, exported.model.config.n_positions)
    with replaced_directory(OUTPUT) as folder:
        omitted = write_files(exported, params, folder)
        found = findings(exported, rows, omitted, folder, compute)
        write_json(folder / "parity.json", found)
    describe(found)


def describe(found: dict[str, Any]) -> None:
    """Tell what was written, what was not, and how answers compare."""
    for quantisation, why in found["omitted"].items():
        note(f"export: no {quantisation} file: {why}")
    if found["why_not"]:
        note(f"export: not compared with llama.cpp: {found['why_not']}")
        return
    for quantisation, file in found["files"].items():
        note(
            f"export: {quantisation}: of {found['rows']} test rows, llama.cpp has the same prompt in "
            f"{file['same_prompts']:.0%}, the same ids in {file['same_ids']:.0%} and the same answer in "
            f"{file['same_answers']:.0%}"
        )


if __name__ == "__main__":
    run_stage("export", main)

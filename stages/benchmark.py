"""Put a benchmark's items and a plain text to a model: `python -m stages.benchmark base|finetuned`."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from reprotune.artifacts import read_table, write_table
from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.model.inference import prepare_for_inference
from reprotune.model.network import Network
from reprotune.model.weights import load_model
from reprotune.multiple_choice.asking import ask, check_not_constant
from reprotune.multiple_choice.contracts import CHOICES, DOCUMENTS, ITEMS
from reprotune.multiple_choice.framing import Framing, InTemplate, PlainText
from reprotune.multiple_choice.prompts import Wording
from reprotune.multiple_choice.retention import read_documents, score_documents
from reprotune.multiple_choice.sampling import Chosen, choose
from reprotune.params.sections.benchmark import BenchmarkParams, BenchmarkSourceParams
from reprotune.params.sections.format import FormatParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

ITEMS_FILE = Path("data/benchmark/items.parquet")
FOLDERS = {"base": Path("data/base"), "finetuned": Path("data/model")}
OUTPUT = Path("data/benchmarked")


def main(name: str) -> None:
    keep_freed_memory()
    params = BenchmarkParams.load("benchmark")
    check_followed("benchmark.text", params.text_file)
    documents = read_documents(params.text_file) if params.text_file else []
    rows = read_table(ITEMS_FILE, ITEMS).to_pylist() if params.formulations else []
    chosen = choose(rows, params.shots, params.items_per_subject, params.seed)
    choices: list[dict[str, Any]] = []
    predicted: list[dict[str, Any]] = []
    if chosen.items or documents:
        tokenizer = load_tokenizer(FOLDERS["base"])
        compute = pick_compute(params.precision)
        model = load_model(FOLDERS[name], compute.device)
        prepare_for_inference(model, compute)
        choices = ask_all(model, name, tokenizer, chosen, params) if chosen.items else []
        predicted = score_documents(model, tokenizer, documents, f"text, {name}")
    write_table(OUTPUT / f"{name}.parquet", pa.Table.from_pylist(choices, schema=CHOICES))
    write_table(OUTPUT / f"{name}_text.parquet", pa.Table.from_pylist(predicted, schema=DOCUMENTS))


def ask_all(
    model: Network, name: str, tokenizer: Tokenizer, chosen: Chosen, params: BenchmarkParams
) -> list[dict[str, Any]]:
    """Return `CHOICES` rows, one formulation after the other."""
    beginnings = params.asks_beginnings(BenchmarkSourceParams.load("fetch.benchmark"))
    framing = framed(tokenizer, params.framing)
    found = []
    for formulation in params.formulations:
        wording, drop_shots = Wording(formulation, beginnings), params.on_too_long == "drop_shots"
        rows = ask(model, tokenizer, framing, wording, chosen, drop_shots, f"{formulation}, {name}")
        check_not_constant(rows, [item["answer"] for item in chosen.items], formulation, str(FOLDERS[name]))
        found += [{**row, "model": name, "formulation": params.name(formulation)} for row in rows]
    return found


def framed(tokenizer: Tokenizer, framing: str) -> Framing:
    """Return what puts prompts before the model; only a template needs the section `format`."""
    if framing == "plain":
        return PlainText(tokenizer)
    params = FormatParams.load("format")
    check_followed("format.template", params.file)
    base = read_tokenizer_files(FOLDERS["base"])
    return InTemplate(tokenizer, load_formatter(params.template, base, params.response_header, params.train_on))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.benchmark", description=__doc__)
    parser.add_argument("model", choices=FOLDERS, help="which model is asked")
    model_name = parser.parse_args().model
    run_stage(f"benchmark@{model_name}", partial(main, model_name))

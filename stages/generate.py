"""Answer the test prompts with a model: `python -m stages.generate base|finetuned`."""

import argparse
from functools import partial
from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import (
    FORMATTED,
    FORMATTED_TURNS,
    RESPONSES,
    read_table,
    schema_of,
    write_table,
)
from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.console import progress_bar
from reprotune.dataset.tokenizers.load import load_tokenizer
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from reprotune.model.inference import prepare_for_inference
from reprotune.model.weights import load_model
from reprotune.params.sections.generate import GenerateParams
from reprotune.pipeline.stage import run_stage
from reprotune.records import read_records
from reprotune.scratch import clear_finished

TEST_RECORDS = Path("data/split/test.parquet")
TEST_PROMPTS = Path("data/formatted/test.parquet")
FOLDERS = {"base": Path("data/base"), "finetuned": Path("data/model")}
RESPONSES_FOLDER = Path("data/responses")


def main(name: str) -> None:
    if name == "finetuned":
        clear_finished("finetune")
    keep_freed_memory()
    params = GenerateParams.load("generate")
    tokenizer = load_tokenizer(FOLDERS["base"])
    rows = read_table(TEST_PROMPTS, schema_of(TEST_PROMPTS, FORMATTED, FORMATTED_TURNS)).to_pylist()
    references = {record["id"]: record["output"] for record in read_records(TEST_RECORDS)}
    prompts = tokenizer.encode_formatted([row["prompt"] for row in rows])
    settings = DecodingSettings(end_of_text=tokenizer.end_of_text, **params.model_dump(exclude={"precision"}))

    compute = pick_compute(params.precision)
    model = load_model(FOLDERS[name], compute.device)
    prepare_for_inference(model, compute)
    with progress_bar(f"answers of {name}", len(rows)) as bar:
        answers = generate(model, prompts, settings, [row["id"] for row in rows], bar.update)

    responses = [
        {
            "id": row["id"],
            "prompt": tokenizer.escapes.plain(row["prompt"]),
            "reference": references[row["id"]],
            "response": answer_text(tokenizer.decode(answer.token_ids), row["header"]),
            "prompt_tokens": len(prompt),
            "response_tokens": len(answer.token_ids),
            "finish_reason": answer.finish_reason,
        }
        for row, prompt, answer in zip(rows, prompts, answers, strict=True)
    ]
    write_table(RESPONSES_FOLDER / f"{name}.parquet", pa.Table.from_pylist(responses, schema=RESPONSES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.generate", description=__doc__)
    parser.add_argument("model", choices=FOLDERS, help="which model answers")
    model_name = parser.parse_args().model
    run_stage(f"generate@{model_name}", partial(main, model_name))

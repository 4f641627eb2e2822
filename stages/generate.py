"""Answer the test prompts with a model: `python -m stages.generate base|finetuned`."""

import argparse
from functools import partial
from pathlib import Path

from reprotune.artifacts import write_table
from reprotune.compute.device import keep_freed_memory
from reprotune.generation.responses import model_responses
from reprotune.params.sections.generate import GenerateParams
from reprotune.pipeline.stage import run_stage
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
    responses = model_responses(FOLDERS[name], FOLDERS["base"], TEST_PROMPTS, TEST_RECORDS, params, name)
    write_table(RESPONSES_FOLDER / f"{name}.parquet", responses)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.generate", description=__doc__)
    parser.add_argument("model", choices=FOLDERS, help="which model answers")
    model_name = parser.parse_args().model
    run_stage(f"generate@{model_name}", partial(main, model_name))

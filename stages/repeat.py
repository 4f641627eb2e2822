"""Train, generate and judge with several seeds, or publish what that found: `python -m stages.repeat runs|publish`.

The stages of `repeats/dvc.yaml`, which `reprotune repeat` writes.
"""

import argparse
from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import replaced_directory, write_json, write_table
from reprotune.compute.device import keep_freed_memory
from reprotune.console import note
from reprotune.params.sections.finetune import FinetuneParams
from reprotune.params.sections.generate import GenerateParams
from reprotune.params.sections.judge import JudgeParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage
from reprotune.runs.contracts import ANSWERS
from reprotune.runs.publish import published, read_repeats_metrics
from reprotune.runs.repeats import RunParams, repeat, seeds_of, table_rows
from reprotune.runs.settings import SETTINGS, RepeatsParams
from reprotune.runs.summary import summarise

OUTPUT = Path("data/repeats")
PUBLISHED = Path("metrics/repeats.json")


def run() -> None:
    """Run every seed that has not run yet; a killed stage goes on where it was."""
    keep_freed_memory()
    settings = RepeatsParams.load("repeats", SETTINGS)
    params = RunParams(FinetuneParams.load("finetune"), GenerateParams.load("generate"), JudgeParams.load("judge"))
    for key, file in params.judge.files.items():
        if key != "against":
            check_followed(f"judge.{key}", file)
    repeats = repeat(params, seeds_of(params, settings.seeds), settings.keep_models)
    metrics = summarise(repeats)
    with replaced_directory(OUTPUT) as folder:
        write_table(folder / "answers.parquet", pa.Table.from_pylist(list(table_rows(repeats)), schema=ANSWERS))
        write_json(folder / "metrics.json", metrics)
    score = metrics["score"]
    if score["mean"] is not None:
        note(f"repeat: {settings.seeds} seeds: mean score {score['mean']:.1f}, standard deviation {score['sd']:.1f}")


def publish() -> None:
    """Write the main numbers to `metrics/`, which Git tracks."""
    write_json(PUBLISHED, published(read_repeats_metrics(OUTPUT / "metrics.json")))


STEPS = {"runs": run, "publish": publish}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.repeat", description=__doc__)
    parser.add_argument("step", choices=STEPS, help="what to do")
    step = parser.parse_args().step
    run_stage(f"repeat@{step}", STEPS[step])

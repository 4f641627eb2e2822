"""Fetch the dataset (`dataset`), the base model (`base`) or the benchmark (`benchmark`) that params.yaml names."""

import argparse
from pathlib import Path
from typing import Any

from reprotune.artifacts import replaced_directory, write_json
from reprotune.console import counted, note
from reprotune.dataset.sources.collect import collect
from reprotune.model.source import fetch_base
from reprotune.multiple_choice.items import collect_items
from reprotune.multiple_choice.sources import KEY
from reprotune.params.sections.benchmark import BenchmarkSourceParams
from reprotune.params.sections.dataset import DatasetParams
from reprotune.params.sections.fetch import BaseParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

RAW = Path("data/raw")
BASE = Path("data/base")
BENCHMARK = Path("data/benchmark")


def fetch_dataset_stage() -> None:
    """Write data/raw/: records.parquet, rejected.parquet and summary.json."""
    params = DatasetParams.load("fetch.dataset")
    for key, source in params.keyed_sources.items():
        check_followed(f"{key}.source", source.followed)
    with replaced_directory(RAW) as folder:
        summary = collect(params, folder)
        write_json(folder / "summary.json", summary)
    describe(summary)


def describe(summary: dict[str, Any]) -> None:
    """Tell what came of the rows, of each source where there are several."""
    for name, one in summary.get("sources", {}).items():
        kind = f", shape {one['shape']}" if "shape" in one else ""
        note(f"{name}: {one['taken']} of {counted(one['records'], 'record')}{kind}, role {one['role']}")
    kind = f", shape {summary['shape']}" if "shape" in summary else ""
    note(f"{counted(summary['records'], 'record')} from {counted(summary['rows'], 'row')}{kind}")
    for reason, count in summary["reasons"].items():
        note(f"rejected {count}: {reason}")
    if unused := summary.get("unused_columns"):
        note(f"columns that are not used: {', '.join(map(repr, unused))} (fetch.dataset.columns names those that are)")


def fetch_base_stage() -> None:
    """Write data/base/: a checkpoint in Hugging Face layout."""
    params = BaseParams.load("fetch.base")
    check_followed("fetch.base.source", params.path)
    fetch_base(params, BASE)


def fetch_benchmark_stage() -> None:
    """Write data/benchmark/: items.parquet, rejected.parquet and summary.json."""
    params = BenchmarkSourceParams.load(KEY)
    check_followed(f"{KEY}.source", params.followed)
    with replaced_directory(BENCHMARK) as folder:
        summary = collect_items(params, folder)
        write_json(folder / "summary.json", summary)
    if params.source is None:
        note("no benchmark (fetch.benchmark.source is null)")
        return
    note(f"{counted(summary['items'], 'item')} and {counted(summary['shots'], 'example')} of {params.task}")
    if summary["equal_choices"]:
        note(f"{counted(summary['equal_choices'], 'item')} with two equal choices, between which only letters decide")
    for reason, count in summary["reasons"].items():
        note(f"rejected {count}: {reason}")


STAGES = {"dataset": fetch_dataset_stage, "base": fetch_base_stage, "benchmark": fetch_benchmark_stage}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.fetch", description=__doc__)
    parser.add_argument("what", choices=STAGES)
    what = parser.parse_args().what
    run_stage(f"fetch@{what}", STAGES[what])

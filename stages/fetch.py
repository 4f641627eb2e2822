"""Fetch the dataset (`dataset`) or the base model (`base`) that params.yaml names."""

import argparse
from pathlib import Path

from reprotune.artifacts import RECORDS, REJECTED, replaced_directory, table_writer, write_json
from reprotune.console import counted, note, progress_bar
from reprotune.dataset.sources.download import source_file
from reprotune.dataset.sources.readers import read_rows
from reprotune.dataset.sources.records import Normalizer
from reprotune.model.source import fetch_base
from reprotune.params.sections.fetch import BaseParams, DatasetParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

RAW = Path("data/raw")
BASE = Path("data/base")


def fetch_dataset_stage() -> None:
    """Write data/raw/: records.parquet, rejected.parquet and summary.json."""
    params = DatasetParams.load("fetch.dataset")
    check_followed("fetch.dataset.source", params.file)
    path, sha256 = source_file(params)
    normalizer = Normalizer(params, params.source)
    with replaced_directory(RAW) as folder:
        with (
            table_writer(folder / "records.parquet", RECORDS) as records_file,
            table_writer(folder / "rejected.parquet", REJECTED) as rejected_file,
            progress_bar("reading", unit=" rows") as bar,
        ):
            for batch in read_rows(path, params.source, params.format, params.columns.model_dump().values()):
                records, rejected = normalizer.normalize(batch)
                records_file.write_rows(records)
                rejected_file.write_rows(rejected)
                bar.update(len(batch))
        summary = normalizer.finish()
        write_json(folder / "summary.json", summary | {"sha256": sha256})
    note(f"{counted(summary['records'], 'record')} from {counted(summary['rows'], 'row')}")
    for reason, count in summary["reasons"].items():
        note(f"rejected {count}: {reason}")
    if unused := summary.get("unused_columns"):
        note(f"columns that are not used: {', '.join(map(repr, unused))} (fetch.dataset.columns names those that are)")


def fetch_base_stage() -> None:
    """Write data/base/: a checkpoint in Hugging Face layout."""
    params = BaseParams.load("fetch.base")
    check_followed("fetch.base.source", params.folder)
    fetch_base(params, BASE)


STAGES = {"dataset": fetch_dataset_stage, "base": fetch_base_stage}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.fetch", description=__doc__)
    parser.add_argument("what", choices=STAGES)
    what = parser.parse_args().what
    run_stage(f"fetch@{what}", STAGES[what])

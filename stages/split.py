"""Divide the records into train, validation and test (section `split` of params.yaml)."""

import json
from contextlib import ExitStack
from pathlib import Path

from reprotune.artifacts import (
    RECORD_SCHEMAS,
    iter_batches,
    replaced_directory,
    schema_of,
    table_writer,
    write_json,
    write_text,
)
from reprotune.console import counted, note
from reprotune.dataset.dealing import DEALING_ORDER
from reprotune.dataset.split import Split, sorted_by_category, split_records
from reprotune.params.sections.dataset import DatasetParams
from reprotune.params.sections.split import SplitParams
from reprotune.pipeline.stage import run_stage

RECORDS_FILE = Path("data/raw/records.parquet")
OUTPUT = Path("data/split")
GROUPS = "near_duplicates.jsonl"
NOTABLE_SHARE = 0.01
MOST_STRANGE = 0.1
"""Share of test rows of untrained categories above which the file is probably sorted by category."""


def main() -> None:
    """Read the records, divide them, write one file per split and the counts."""
    params = SplitParams.load("split")
    sources = DatasetParams.load("fetch.dataset").sources
    roles = {source.name: source.role for source in sources if source.role != "divided"}
    schema = schema_of(RECORDS_FILE, *RECORD_SCHEMAS)
    split = split_records(iter_batches(RECORDS_FILE, schema), params, roles)
    with replaced_directory(OUTPUT) as folder, ExitStack() as opened:
        writers = {
            name: opened.enter_context(table_writer(folder / f"{name}.parquet", schema)) for name in DEALING_ORDER
        }
        for parts in split.parts(iter_batches(RECORDS_FILE, schema)):
            for name, table in parts.items():
                writers[name].write(table)
        if params.group_near_duplicates:
            groups = split.grouped(iter_batches(RECORDS_FILE, schema))
            write_text(folder / GROUPS, "".join(f"{json.dumps(group, ensure_ascii=False)}\n" for group in groups))
        write_json(folder / "summary.json", split.summary)
    describe(split, params)
    if params.order == "file" and not params.stratify:
        tested, strange = sorted_by_category(iter_batches(RECORDS_FILE, schema), split.assigned)
        if strange > MOST_STRANGE * tested:
            note(
                f"split: {strange} of {tested} test rows have a category that no training row has; if the file is "
                "sorted by category, set split.order to shuffled"
            )


def describe(split: Split, params: SplitParams) -> None:
    """Tell what came out, and what a person may not have meant."""
    counts = split.summary
    rows = sum(counts["rows"].values())
    note("split: " + ", ".join(f"{count} {name}" for name, count in counts["rows"].items()))
    for name, asked in (("train", params.train), ("test", params.test)):
        share = counts["rows"][name] / rows
        if not isinstance(asked, float) or "contamination" in counts:
            continue
        if abs(share - asked) > NOTABLE_SHARE and params.max_test_rows is None:
            note(
                f"split: {share:.1%} of the rows are for {name}, although split.{name} is {asked:.1%}: near-duplicates "
                "stay together"
            )
    if params.group_near_duplicates:
        note(
            f"split: {counted(counts['rows_in_groups'], 'row')} in {counted(counts['near_duplicate_groups'], 'group')} "
            f"of near-duplicates; {counted(counts['rows_moved'], 'row')} moved to keep groups together; "
            f"{OUTPUT / GROUPS} lists them"
        )
    if found := counts.get("contamination"):
        note(
            f"split: {counted(found['train_rows_like_test'], 'training row')} like one of a test source, "
            f"{found['train_rows_like_validation']} like one of a validation source; {found['removed']} removed "
            f"(split.contamination is {params.contamination})"
        )


if __name__ == "__main__":
    run_stage("split", main)

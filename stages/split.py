"""Divide the records into train, validation and test (section `split` of params.yaml)."""

from contextlib import ExitStack
from pathlib import Path

from reprotune.artifacts import RECORDS, iter_batches, replaced_directory, table_writer, write_json
from reprotune.console import counted, note, run_stage
from reprotune.dataset.split import DEALING_ORDER, split_records
from reprotune.params.sections.split import SplitParams

RECORDS_FILE = Path("data/raw/records.parquet")
OUTPUT = Path("data/split")


def main() -> None:
    """Read the records, divide them, write one file per split and the counts."""
    params = SplitParams.load("split")
    split = split_records(iter_batches(RECORDS_FILE, RECORDS), params)
    with replaced_directory(OUTPUT) as folder, ExitStack() as opened:
        writers = {
            name: opened.enter_context(table_writer(folder / f"{name}.parquet", RECORDS)) for name in DEALING_ORDER
        }
        for parts in split.parts(iter_batches(RECORDS_FILE, RECORDS)):
            for name, table in parts.items():
                writers[name].write(table)
        write_json(folder / "summary.json", split.summary)
    counts = split.summary
    note("split: " + ", ".join(f"{rows} {name}" for name, rows in counts["rows"].items()))
    if params.group_near_duplicates:
        note(
            f"split: {counted(counts['rows_in_groups'], 'row')} in {counted(counts['near_duplicate_groups'], 'group')} "
            f"of near-duplicates; {counted(counts['rows_moved'], 'row')} moved to keep groups together"
        )


if __name__ == "__main__":
    run_stage("split", main)

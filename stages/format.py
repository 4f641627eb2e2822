"""Write each record as the text that the model sees (section `format` of params.yaml)."""

from collections import Counter
from pathlib import Path

from reprotune.artifacts import (
    FORMATTED,
    RECORDS,
    SPLITS,
    count_rows,
    iter_batches,
    replaced_directory,
    table_writer,
    write_json,
)
from reprotune.console import counted, note, progress_bar
from reprotune.dataset.templates.instructions import count_markers, load_template
from reprotune.params.sections.format import FormatParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

INPUT = Path("data/split")
OUTPUT = Path("data/formatted")


def main() -> None:
    """Format every split and count the rows that spell a marker of a template."""
    params = FormatParams.load("format")
    check_followed("format.template", params.file)
    template = load_template(params.template)
    rows = {split: count_rows(INPUT / f"{split}.parquet", RECORDS) for split in SPLITS}
    markers: Counter[str] = Counter(dict.fromkeys(template.markers, 0))
    with replaced_directory(OUTPUT) as folder:
        for split in SPLITS:
            with (
                table_writer(folder / f"{split}.parquet", FORMATTED) as writer,
                progress_bar(f"format {split}", rows[split], "row") as bar,
            ):
                for batch in iter_batches(INPUT / f"{split}.parquet", RECORDS):
                    records = batch.to_pylist()
                    markers.update(count_markers(records, template.markers))
                    writer.write_rows(template.format_all(records, params.response_header))
                    bar.update(len(records))
        summary = {"template": params.template, "response_header": params.response_header, "rows": rows}
        write_json(folder / "summary.json", {**summary, "rows_with_marker": markers})
    for marker, count in markers.items():
        if count:
            note(f"format: {marker!r}, a marker of the template, occurs in the text of {counted(count, 'row')}")


if __name__ == "__main__":
    run_stage("format", main)

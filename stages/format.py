"""Write each record as the text that the model sees (section `format` of params.yaml)."""

from collections import Counter
from pathlib import Path

from reprotune.artifacts import (
    FORMATTED,
    FORMATTED_TURNS,
    RECORD_SCHEMAS,
    SPLITS,
    count_rows,
    iter_batches,
    replaced_directory,
    schema_of,
    table_writer,
    write_json,
)
from reprotune.console import counted, note, progress_bar
from reprotune.dataset.templates.formatter import count_special, load_formatter
from reprotune.dataset.templates.instructions import count_markers
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.params.sections.format import FormatParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

INPUT = Path("data/split")
BASE = Path("data/base")
OUTPUT = Path("data/formatted")


def main() -> None:
    """Format every split and count the rows that spell a marker of a template, or a special token."""
    params = FormatParams.load("format")
    check_followed("format.template", params.file)
    base = read_tokenizer_files(BASE)
    formatter = load_formatter(params.template, base, params.response_header, params.train_on)
    files = {split: INPUT / f"{split}.parquet" for split in SPLITS}
    schemas = {split: schema_of(path, *RECORD_SCHEMAS) for split, path in files.items()}
    rows = {split: count_rows(path, schemas[split]) for split, path in files.items()}
    markers: Counter[str] = Counter(dict.fromkeys(formatter.markers, 0))
    special: Counter[str] = Counter()
    with replaced_directory(OUTPUT) as folder:
        for split, path in files.items():
            chats = "messages" in schemas[split].names
            write = formatter.conversations if chats else formatter.records
            with (
                table_writer(folder / path.name, FORMATTED_TURNS if chats else FORMATTED) as writer,
                progress_bar(f"format {split}", rows[split], "row") as bar,
            ):
                for batch in iter_batches(path, schemas[split]):
                    records = batch.to_pylist()
                    markers.update(count_markers(records, formatter.markers))
                    special.update(count_special(records, base))
                    writer.write_rows(write(records))
                    bar.update(len(records))
        spelled = {**special, **markers}
        summary = {"template": params.template, "response_header": params.response_header, "rows": rows}
        write_json(folder / "summary.json", {**summary, "rows_with_marker": spelled})
    for text, count in spelled.items():
        if count:
            kind = "special token, which stays text there" if text in special else "marker of the template"
            note(f"format: {text!r}, a {kind}, occurs in the text of {counted(count, 'row')}")


if __name__ == "__main__":
    run_stage("format", main)

"""Write each record as the text that the model sees (section `format` of params.yaml)."""

from collections import Counter
from pathlib import Path
from typing import Any

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
    write_text,
)
from reprotune.console import counted, note, progress_bar
from reprotune.dataset.templates.formatter import count_special, load_formatter
from reprotune.dataset.templates.instructions import count_markers
from reprotune.dataset.templates.messages import CHAT_TEMPLATE, MESSAGES, MessageForm, refused_form
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.params.sections.format import FormatParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

INPUT = Path("data/split")
BASE = Path("data/base")
OUTPUT = Path("data/formatted")


def main() -> None:
    """Format every split, count the rows that spell a marker or a special token, and write the chat template."""
    params = FormatParams.load("format")
    check_followed("format.template", params.file)
    base = read_tokenizer_files(BASE)
    formatter = load_formatter(params.template, base, params.response_header, params.train_on)
    files = {split: INPUT / f"{split}.parquet" for split in SPLITS}
    schemas = {split: schema_of(path, *RECORD_SCHEMAS) for split, path in files.items()}
    rows = {split: count_rows(path, schemas[split]) for split, path in files.items()}
    markers: Counter[str] = Counter(dict.fromkeys(formatter.markers, 0))
    special: Counter[str] = Counter()
    form = formatter.messages()
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
                    written = write(records)
                    if not chats:
                        form = checked_form(
                            form, params.template, records, [base.escapes.plain(row["prompt"]) for row in written]
                        )
                    writer.write_rows(written)
                    bar.update(len(records))
        spelled = {**special, **markers}
        summary = {"template": params.template, "response_header": params.response_header, "rows": rows}
        write_json(folder / "summary.json", {**summary, "rows_with_marker": spelled})
        write_text(folder / CHAT_TEMPLATE, form.source)
        write_json(folder / MESSAGES, form.document())
    if form.refused:
        note(f"format: there is no chat template for other programs: {form.refused}")
    for text, count in spelled.items():
        if count:
            kind = "special token, which stays text there" if text in special else "marker of the template"
            note(f"format: {text!r}, a {kind}, occurs in the text of {counted(count, 'row')}")


def checked_form(form: MessageForm, template: str, records: list[dict[str, Any]], prompts: list[str]) -> MessageForm:
    """Return the form of messages if it holds for these records too, else one that is refused."""
    strange = form.unlike(records, prompts)
    if strange is None:
        return form
    return refused_form(
        f"the template {template} writes record {strange} in another way than others, so no message becomes its "
        "prompt: send the whole prompt as a text"
    )


if __name__ == "__main__":
    run_stage("format", main)

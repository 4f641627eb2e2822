"""The limits that the manual lists are those of the code."""

from reprotune import files, sandbox
from reprotune.dataset.sources import limits, parquet
from reprotune.files import size_words
from reprotune.params import values
from tests.builders.manual import ROOT

LIMITS = {
    "a row": size_words(limits.MOST_ROW_BYTES),
    "columns of a file, or different keys of its rows": f"{limits.MOST_COLUMNS:,}",
    "a JSON document (JSON Lines, CSV and Parquet are read piece by piece)": (
        f"{size_words(limits.MOST_JSON_BYTES)}, {files.MOST_VALUES:,} values"
    ),
    "blank lines in a row": f"{limits.MOST_BLANK_LINES:,}",
    "what a gzipped or Parquet file unfolds to": (
        f"{limits.UNPACKED_TIMES} times its size, where that is more than {size_words(limits.UNPACKED_BYTES)}"
    ),
    "rows of a gzipped or Parquet file": (
        f"one for each byte of its size, where there are more than {limits.PACKED_ROWS:,}"
    ),
    f"what {parquet.MANY_ROWS} rows of a Parquet file take while they are read": size_words(parquet.MOST_MEMORY),
    "`params.yaml`, `gate.yaml`, `dvc.yaml` or `dvc.lock`": (
        f"{size_words(values.YAML_BYTES)}, {values.MOST_VALUES:,} values, {values.MOST_LEVELS} levels"
    ),
    "a template or rubric": size_words(sandbox.TEMPLATE_BYTES),
    "a text that it makes": f"{sandbox.MOST_CHARS:,} characters",
    "what it takes for some thousand records, or one answer": (
        f"{sandbox.MOST_SECONDS} s, {size_words(sandbox.MOST_MEMORY)}"
    ),
}


def test_the_limits_of_the_manual_are_those_of_the_code() -> None:
    page = (ROOT / "docs/your-data.md").read_text(encoding="utf-8")
    section = page.partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    assert dict(rows[2:]) == LIMITS

"""Cases of bad datasets: odd rows in every format, and spoiled files; from fetching to tokenizing."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .cases import Plan, Step, subject
from .mutations import STRANGE, nested, shown, spoil
from .project import STAGES, Project
from .verdicts import Ran

FIELDS = ("instruction", "input", "output", "category")
LONG = 3_000_000
CHAIN = ("fetch@dataset", "split", "format", "tokenize")


def rows_of(project: Project) -> list[dict[str, Any]]:
    lines = (project.root / "data/embedded/dataset.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@subject("d", "dataset", "data/base", share=6)
def dataset(draw: Random, folder: Path, project: Project) -> Plan:
    """Odd rows in a file of any format, which may then be spoiled or zipped."""
    rows = rows_of(project)
    ending, written = draw.choice(sorted(FORMATS.items()))
    doings = []
    for _ in range(draw.choice([0, 1, 1, 2, 5])):
        place = draw.randrange(len(rows))
        field = draw.choice(FIELDS)
        if draw.random() < 0.15:
            rows[place] = draw.choice(STRANGE)
            doings.append(f"row {place} is {shown(rows[place])}")
        elif isinstance(rows[place], dict):
            action = draw.choice(["value"] * 6 + ["gone", "more", "long", "deep"])
            if action == "gone":
                rows[place].pop(field, None)
            elif action == "more":
                rows[place][draw.choice(["", "id", "x" * 500, "\0", "__class__", "source_row"])] = draw.choice(STRANGE)
            else:
                value = {"value": draw.choice(STRANGE), "long": "x " * 20_000, "deep": nested(200)}[action]
                rows[place][field] = value
            doings.append(f"{field} of row {place}: {action} {shown(rows[place].get(field))}")
    path = folder / f"rows{ending}"
    path.write_bytes(written(rows))
    if draw.random() < 0.3:
        doings.append(spoil(path, draw))
    if draw.random() < 0.2:
        zipped = gzip.compress(path.read_bytes(), mtime=0)
        path.write_bytes(zipped)
        doings.append("zipped")
        if draw.random() < 0.5:
            doings.append(spoil(path, draw, text=False))
    changes: dict[str, Any] = {"fetch.dataset.source": path.name}
    if draw.random() < 0.4:
        changes["fetch.dataset.max_rejected_fraction"] = 1.0
    if draw.random() < 0.2:
        changes["fetch.dataset.format"] = draw.choice(["json", "jsonl", "csv", "tsv", "parquet"])
    project.set_params(folder, changes)
    return Plan(
        f"{path.name}: {'; '.join(doings) or 'nothing'}; {changes}",
        [Step(STAGES[stage]) for stage in CHAIN],
        check=lambda ran: accounted(folder, ran),
    )


def accounted(folder: Path, ran: list[Ran]) -> str | None:
    """Return what is wrong if not every row of the source is a record or a rejected row."""
    summary = json.loads((folder / "data/raw/summary.json").read_text(encoding="utf-8"))
    records = pq.read_table(folder / "data/raw/records.parquet").num_rows
    rejected = pq.read_table(folder / "data/raw/rejected.parquet").num_rows
    if not summary["rows"] == records + rejected == summary["records"] + summary["rejected"]:
        return f"{summary['rows']} rows, but {records} records and {rejected} rejected ones"
    splits = {name: folder / f"data/split/{name}.parquet" for name in ("train", "validation", "test")}
    if (kept := sum(pq.read_table(path).num_rows for path in splits.values())) != records:
        return f"{records} records, but {kept} in the splits"
    return None


def as_json(rows: list[Any]) -> bytes:
    return json.dumps(rows).encode()


def as_jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_raw_jsonl(rows: list[Any]) -> bytes:
    """Lone surrogates and all, as bytes that no UTF-8 has."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")


def delimited(delimiter: str) -> Callable[[list[Any]], bytes]:
    def written(rows: list[Any]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        writer.writerow(FIELDS)
        for row in rows:
            writer.writerow([row.get(name) for name in FIELDS] if isinstance(row, dict) else [row])
        return text.getvalue().encode("utf-8", "surrogatepass")

    return written


def as_parquet(rows: list[Any], fields: Sequence[str] = FIELDS) -> bytes:
    """Odd values become text or are kept where the whole column has their type."""
    good = [row if isinstance(row, dict) else {} for row in rows]
    columns: dict[str, pa.Array] = {}
    for name in fields:
        values = [row.get(name) for row in good]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, UnicodeError, OverflowError, TypeError):
            columns[name] = pa.array([None if value is None else ascii(value)[:1000] for value in values])
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


FORMATS: dict[str, Callable[[list[Any]], bytes]] = {
    ".csv": delimited(","),
    ".json": as_json,
    ".jsonl": as_jsonl,
    ".ndjson": as_raw_jsonl,
    ".parquet": as_parquet,
    ".tsv": delimited("\t"),
    ".txt": as_jsonl,
}


@subject("d", "bomb", share=1)
def bomb(draw: Random, folder: Path, project: Project) -> Plan:
    """Files that are small on the disk or in rows, and large when read."""
    name, make = draw.choice(sorted(BOMBS.items()))
    path = folder / f"bomb{name.partition(' ')[0]}"
    path.write_bytes(make(rows_of(project)))
    project.set_params(folder, {"fetch.dataset.source": path.name, "fetch.dataset.max_rejected_fraction": 1.0})
    return Plan(name, [Step(STAGES["fetch@dataset"])])


def zipped_zeros(character: bytes, gigabytes: int) -> bytes:
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) as file:
        block = character * (1 << 24)
        for _ in range(gigabytes * 64):
            file.write(block)
    return sink.getvalue()


BOMBS: dict[str, Callable[[list[Any]], bytes]] = {
    ".jsonl.gz of one line of 2 GB": lambda rows: zipped_zeros(b"x", 2),
    ".json.gz of a list of 2 GB": lambda rows: zipped_zeros(b"[", 2),
    ".csv.gz of one cell of 2 GB": lambda rows: gzip.compress(b"instruction,output\n") + zipped_zeros(b"x", 2),
    ".jsonl.gz zipped twice": lambda rows: gzip.compress(gzip.compress(as_jsonl(rows))),
    ".csv of 50,000 columns": lambda rows: (
        (",".join(["instruction", "output", *map(str, range(50_000))]) + "\n" + "a,b" + ",c" * 50_000 + "\n").encode()
        * 3
    ),
    ".jsonl of 20,000 keys": lambda rows: as_jsonl([{**rows[0], **{f"k{n}": n for n in range(20_000)}}] * 30),
    ".jsonl of a row of 3 MB": lambda rows: as_jsonl([*rows, {**rows[0], "output": "x " * LONG}]),
    ".jsonl of a million blanks": lambda rows: as_jsonl([*rows, {**rows[0], "output": "a" + " " * 1_000_000 + "b"}]),
    ".json of 100,000 levels": lambda rows: b'[{"instruction": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    ".jsonl of 100,000 levels": lambda rows: b'{"instruction": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"\n",
    ".csv with one open quote": lambda rows: b'instruction,output\n"' + b"a,b\n" * 500_000,
    ".jsonl of equal rows": lambda rows: as_jsonl([rows[0]] * 20_000),
}

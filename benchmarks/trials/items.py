"""Cases of bad benchmarks: odd items in every format, spoiled files and items; from fetching to scoring."""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .artifacts import odd_value
from .cases import Plan, Step, subject
from .datasets import as_parquet
from .mutations import STRANGE, shown, spoil
from .project import INPUTS, STAGES, Project
from .verdicts import Ran

FIELDS = ("question", "choices", "answer", "subject")
ITEMS = "data/benchmark/items.parquet"


def items_of(project: Project) -> list[dict[str, Any]]:
    lines = (project.root / "data/embedded/exam.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:40]]


def as_jsonl(items: list[Any]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def as_json(items: list[Any]) -> bytes:
    return json.dumps(items).encode()


def published(items: list[Any]) -> bytes:
    """The form of MMLU's files: no header; question, four choices, a letter."""
    text = io.StringIO()
    for one in items:
        item = one if isinstance(one, dict) else {"question": one}
        choices = item.get("choices")
        answer = item.get("answer")
        letter = "ABCD"[answer] if type(answer) is int and answer in range(4) else answer
        csv.writer(text, lineterminator="\n").writerow(
            [item.get("question"), *(choices if isinstance(choices, list) else [choices]), letter]
        )
    return text.getvalue().encode("utf-8", "backslashreplace")


FORMATS: dict[str, Callable[[list[Any]], bytes]] = {
    "x.jsonl": as_jsonl,
    "x.json": as_json,
    "x.parquet": partial(as_parquet, fields=FIELDS),
    "anatomy_test.csv": published,
}
PLACES = ("file", "file", "folder", "tar", "tar.gz")
PACKED = ("..", "/etc/x.csv", "../x.csv", "test/../../x.csv", "test/" + "x" * 300 + "_test.csv", "\x1b[31m_test.csv")
"""Names that no archive should have."""


@subject("d", "benchmark-items", "data/embedded", *INPUTS["benchmark@base"], share=4)
def benchmark_items(draw: Random, folder: Path, project: Project) -> Plan:
    """Odd items in a file, a folder or an archive, which may then be spoiled."""
    items: list[Any] = items_of(project)
    name, written = draw.choice(sorted(FORMATS.items()))
    doings = [odd_item(items, draw) for _ in range(draw.choice([0, 1, 1, 3]))]
    place = draw.choice(PLACES) if name.endswith(".csv") else "file"
    content = written(items)
    if place == "file":
        path = folder / name
        path.write_bytes(content)
        source = path.name
    elif place == "folder":
        path = folder / "exam/test" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        source = "exam"
    else:
        path = folder / f"exam.{place}"
        other = draw.choice([None, None, *PACKED])
        path.write_bytes(archive({f"test/{name}": content, **({other: content} if other else {})}, place))
        doings += [f"packed as {other!a}"] if other else []
        source = path.name
    if draw.random() < 0.3:
        doings.append(spoil(path, draw, text=False))
    project.set_source(folder, "benchmark", source)
    if draw.random() < 0.4:
        project.set_params(folder, {"fetch.benchmark.max_rejected_fraction": 1.0})
    steps = [Step(["reprotune", "check"]), Step(STAGES["fetch@benchmark"]), Step(STAGES["benchmark@base"])]
    what = f"{place} {path.name}: {'; '.join(doings) or 'nothing'}"
    return Plan(what, steps, check=lambda ran: accounted(folder, ran))


def odd_item(items: list[Any], draw: Random) -> str:
    """Change one item or a field of it; returns what was done."""
    place, field = draw.randrange(len(items)), draw.choice(FIELDS)
    if draw.random() < 0.15 or not isinstance(items[place], dict):
        items[place] = draw.choice(STRANGE)
        return f"item {place} is {shown(items[place])}"
    odd = [*STRANGE, "A", "E", 4, ["a"], ["a", "a"], ["a", None], [""] * 4, ["x"] * 30, "x " * 20_000, {"text": ["a"]}]
    items[place][field] = draw.choice(odd)
    return f"{field} of item {place} is {shown(items[place][field])}"


def archive(files: dict[str, bytes], kind: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz" if kind.endswith("gz") else "w") as file:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            file.addfile(header, io.BytesIO(content))
    return sink.getvalue()


def accounted(folder: Path, ran: list[Ran]) -> str | None:
    """Return what is wrong if not every row is an item or a rejected row, or an item has no result."""
    summary = json.loads((folder / "data/benchmark/summary.json").read_text(encoding="utf-8"))
    items = pq.read_table(folder / ITEMS).num_rows
    rejected = pq.read_table(folder / "data/benchmark/rejected.parquet").num_rows
    if (items, rejected) != (summary["items"] + summary["shots"], summary["rejected"]):
        return f"{items} items and {rejected} rejected rows, but the summary says {summary}"[:600]
    return None


@subject("d", "benchmark-odd", *INPUTS["benchmark@base"])
def benchmark_odd(draw: Random, folder: Path, project: Project) -> Plan:
    """Items that the stage before does not write."""
    path = folder / ITEMS
    table = pq.read_table(path)
    column = draw.choice(table.column_names)
    values = table[column].to_pylist()
    kind = table.schema.field(column).type
    odd = draw.choice([[""], ["a"] * 100, [None]]) if pa.types.is_list(kind) else odd_value(kind, draw)
    values[0] = odd
    changed = table.set_column(table.column_names.index(column), table.schema.field(column), pa.array(values, kind))
    pq.write_table(changed, path)
    return Plan(f"{column}: {shown(odd)}", [Step(STAGES["benchmark@base"])])

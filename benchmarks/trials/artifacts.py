"""Cases of damage between two stages: what one wrote is spoiled before the next reads it."""

import math
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .cases import Plan, Step, subject
from .mutations import spoil, spoil_json
from .project import INPUTS, OUTS, STAGES, Project

READERS = [stage for stage in STAGES if not stage.startswith("fetch")]
KINDS = ("no rows", "column gone", "renamed", "twice", "null", "type", "repeated rows", "odd", "reversed")
EVERYTHING = tuple(sorted({path for stage in READERS for path in INPUTS[stage]}))


@subject("d", "artifact-bytes", *EVERYTHING, share=4)
def artifact_bytes(draw: Random, folder: Path, project: Project) -> Plan:
    """Bytes of a Parquet file: to be noticed, or without effect."""
    stage = draw.choice([stage for stage in READERS if parquet_files(stage, folder)])
    path = draw.choice(parquet_files(stage, folder))
    what = spoil(path, draw, text=False)
    same = OUTS[stage] if stage != "report" else ("metrics/scores.json", "metrics/plots")
    return Plan(f"{stage} reads {what}", [Step(STAGES[stage])], same=same)


@subject("d", "artifact-json", *EVERYTHING, share=3)
def artifact_json(draw: Random, folder: Path, project: Project) -> Plan:
    """Values and bytes of the JSON and CSV files that the report reads."""
    names = [name for name in INPUTS["report"] if name.endswith((".json", ".csv"))]
    path = folder / draw.choice(names)
    what = spoil_json(path, draw) if path.suffix == ".json" else spoil(path, draw)
    return Plan(f"{path.parent.name}/{what}", [Step(STAGES["report"])])


@subject("d", "artifact-rows", *EVERYTHING, share=3)
def artifact_rows(draw: Random, folder: Path, project: Project) -> Plan:
    """A Parquet file that is whole, with other columns, types, rows or values."""
    stage = draw.choice([stage for stage in READERS if parquet_files(stage, folder)])
    path = draw.choice(parquet_files(stage, folder))
    table = pq.read_table(path)
    column = draw.choice(table.column_names)
    place = table.column_names.index(column)
    kind = draw.choice(
        ["no rows", "column gone", "renamed", "twice", "null", "type", "repeated rows", "odd", "reversed"]
    )
    bad = kind in ("column gone", "renamed")
    if kind == "no rows":
        table = table.slice(0, 0)
    elif kind == "column gone":
        table = table.drop_columns([column])
    elif kind == "renamed":
        table = table.rename_columns([f"{name}s" if name == column else name for name in table.column_names])
    elif kind == "twice":
        table = table.append_column(table.field(place), table[column])
    elif kind == "null":
        table = table.set_column(place, column, pa.nulls(table.num_rows, table.schema.field(column).type))
        bad = not pq.read_schema(project.root / path.relative_to(folder)).field(column).nullable
    elif kind == "type":
        table = table.set_column(place, column, pa.array([b"x"] * table.num_rows))
        bad = True
    elif kind == "repeated rows":
        table = pa.concat_tables([table, table])
    elif kind == "reversed":
        table = table.take(list(reversed(range(table.num_rows))))
    else:
        odd = odd_value(table.schema.field(column).type, draw)
        values = [odd, *table[column].to_pylist()[1:]]
        table = table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))
        kind = f"odd: {str(odd)[:40]!r}"
    pq.write_table(table, path)
    return Plan(f"{stage} reads {path.name}: {column}: {kind}", [Step(STAGES[stage])], bad=bad)


def parquet_files(stage: str, folder: Path) -> list[Path]:
    """Return the Parquet files that a stage reads."""
    paths = [folder / name for name in INPUTS[stage]]
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file for file in files if file.suffix == ".parquet"]


def odd_value(kind: pa.DataType, draw: Random) -> Any:
    """Return a value that the type allows and no stage writes."""
    if pa.types.is_string(kind):
        return draw.choice(["", "\0", "x" * 200_000, "\x1b[31m", "\u202e", "<script>", "no such thing", "../../x"])
    if pa.types.is_floating(kind):
        return draw.choice([math.nan, math.inf, -1.0, 101.0, 1e308])
    if pa.types.is_list(kind):
        return draw.choice([[], [-1], [50257], [2**31 - 1], [50256] * 2000])
    return draw.choice([-1, 2**31 - 1, 0])

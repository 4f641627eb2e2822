"""From the sources that params.yaml names to data/raw/: one source as it comes, or several mixed into one."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reprotune.artifacts import (
    REJECTED,
    REJECTED_WITH_SOURCE,
    TableWriter,
    iter_batches,
    record_schema,
    table_writer,
)
from reprotune.console import progress_bar
from reprotune.dataset.sources.located import located
from reprotune.dataset.sources.readers import SourceRow, read_rows
from reprotune.dataset.sources.records import ID_DIGITS, Normalizer, Records, content_hash, numbered
from reprotune.dataset.sources.shapes import as_conversation, columns_read, content_texts
from reprotune.params.sections.dataset import DatasetParams, SourceParams

ROUNDING = 1e-9  # so that a third of 3 rows is 1
RECORDS_FILE, REJECTED_FILE = "records.parquet", "rejected.parquet"


def collect(params: DatasetParams, folder: Path) -> dict[str, Any]:
    """Write the records and the rejected rows of all sources into `folder`, and return the counts for summary.json.

    Raises `UserError` if a source cannot be had or too many of its rows are unusable.
    """
    if not params.sources:
        [(key, source)] = params.keyed_sources.items()
        with table_writer(folder / REJECTED_FILE, REJECTED) as rejected:
            return _read(params, key, source, folder / RECORDS_FILE, rejected.write_rows).summary
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        read = []
        with table_writer(folder / REJECTED_FILE, REJECTED_WITH_SOURCE) as rejected:
            for place, (key, source) in enumerate(params.keyed_sources.items()):
                write = _marked(rejected, source.name)
                read.append(_read(params, key, source, Path(parts, f"{place}.parquet"), write))
        taken = _taken(params, read)
        _write_mix(folder / RECORDS_FILE, read, taken)
    return _mix_summary(read, taken)


class _Read(NamedTuple):
    """A source that was read."""

    source: SourceParams
    path: Path
    """Its records, of the schema `schema`."""
    schema: pa.Schema
    summary: dict[str, Any]


def _read(
    params: DatasetParams, key: str, source: SourceParams, path: Path, reject: Callable[[Records], None]
) -> _Read:
    """Write the usable rows of a source to `path`, batch by batch, and hand the others to `reject`."""
    files, sha256 = located(key, source)
    normalizer = Normalizer(params, key, source)
    batches = _batches(files, key, source, normalizer)
    first = next(batches, [])
    records, rejected = normalizer.normalize(first)  # the first batch decides the shape, and so the schema
    conversations = normalizer.shape is not None and normalizer.shape.conversations
    schema = record_schema(conversations, source=False, checks=source.columns.checks is not None)
    with table_writer(path, schema) as file, progress_bar("reading", unit=" rows") as bar:
        file.write_rows(records)
        reject(rejected)
        bar.update(len(first))
        for batch in batches:
            records, rejected = normalizer.normalize(batch)
            file.write_rows(records)
            reject(rejected)
            bar.update(len(batch))
        summary = normalizer.finish() | {"sha256": sha256}
    return _Read(source, path, schema, summary)


def _batches(
    files: list[tuple[Path, str]], key: str, source: SourceParams, normalizer: Normalizer
) -> Iterator[list[SourceRow]]:
    columns = columns_read(source.shape, source.columns)
    for path, name in files:
        normalizer.begin_file(name)
        yield from read_rows(path, name, source.format, columns, key)


def _marked(file: TableWriter, name: str) -> Callable[[Records], None]:
    """Return a function that writes rows with the name of their source."""
    return lambda rows: file.write_rows([row | {"source": name} for row in rows])


def _taken(params: DatasetParams, read: list[_Read]) -> list[npt.NDArray[np.bool_]]:
    """Return which records of each source are taken: `max_rows` of it at most, the weighed ones in proportion.

    As many as there are in that proportion without repeating any; a sample is drawn by the hash of a record, so that a
    source that grows keeps most of its sample.
    """
    sizes = [min(one.summary["records"], one.source.max_rows or one.summary["records"]) for one in read]
    scales = [size / one.source.weight for size, one in zip(sizes, read, strict=True) if one.source.weight]
    taken = []
    for most, one in zip(sizes, read, strict=True):
        size = max(1, int(min(scales) * one.source.weight + ROUNDING)) if one.source.weight else most
        chosen = np.ones(one.summary["records"], dtype=np.bool_)
        if size < len(chosen):
            drawn = np.array([_draw(params.seed, one.source.name, identifier) for identifier in _ids(one)])
            chosen[np.argsort(drawn, kind="stable")[size:]] = False
        taken.append(chosen)
    return taken


def _ids(one: _Read) -> Iterator[str]:
    for batch in iter_batches(one.path, one.schema):
        yield from batch["id"].to_pylist()


def _draw(seed: int, name: str, identifier: str) -> int:
    digest = hashlib.sha256(f"{seed}:{len(name)}:{name}:{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _write_mix(path: Path, read: list[_Read], taken: list[npt.NDArray[np.bool_]]) -> None:
    """Write the records that are taken, source by source; where one has conversations, all become conversations."""
    conversations, checks = (any(name in one.schema.names for one in read) for name in ("messages", "checks"))
    copies: Counter[str] = Counter()
    with table_writer(path, record_schema(conversations, source=True, checks=checks)) as file:
        for one, chosen in zip(read, taken, strict=True):
            start = 0
            for batch in iter_batches(one.path, one.schema):
                part = chosen[start : start + batch.num_rows]
                start += batch.num_rows
                rows = batch.filter(pa.array(part)).to_pylist()
                file.write_rows([_mixed(row, one, conversations, copies) for row in rows])


def _mixed(record: dict[str, Any], one: _Read, conversations: bool, copies: Counter[str]) -> dict[str, Any]:
    """Return a record as it is in the mix, with an id that is its own among all sources."""
    digest = record["id"][:ID_DIGITS]
    if conversations and "messages" not in record:
        content = as_conversation(record)
        digest = content_hash(content_texts(content), record["category"])
        kept: dict[str, Any] = {key: record[key] for key in ("category", "source_row", "checks") if key in record}
        record = {**kept, **content}
    return record | {"id": numbered(digest, copies), "source": one.source.name}


def _mix_summary(read: list[_Read], taken: list[npt.NDArray[np.bool_]]) -> dict[str, Any]:
    """Return the counts of all sources together and, under `sources`, of each."""
    each = {
        one.source.name: {"role": one.source.role, **one.summary, "taken": int(chosen.sum())}
        for one, chosen in zip(read, taken, strict=True)
    }
    reasons: Counter[str] = Counter()
    for one in read:
        reasons.update(one.summary["reasons"])
    digests = "".join(f"{one.summary['sha256']}  {one.source.name}\n" for one in read)
    summary: dict[str, Any] = {
        "rows": sum(one["rows"] for one in each.values()),
        "records": sum(one["taken"] for one in each.values()),
        "rejected": sum(one["rejected"] for one in each.values()),
        "not_taken": sum(one["records"] - one["taken"] for one in each.values()),
        "reasons": dict(reasons),
        "sha256": hashlib.sha256(digests.encode()).hexdigest(),
        "sources": each,
    }
    if any("messages" in one.schema.names for one in read):
        summary["shape"] = "messages"
    return summary

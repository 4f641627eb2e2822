"""Benchmarks for tests: params of a source, and its items as `collect_items` writes them."""

from pathlib import Path
from typing import Any

from reprotune.artifacts import REJECTED, read_table
from reprotune.multiple_choice.contracts import ITEMS
from reprotune.multiple_choice.items import collect_items
from reprotune.params.sections.benchmark import BenchmarkSourceParams


def benchmark_source(source: Path | str | None, **changes: Any) -> BenchmarkSourceParams:
    """Return the section `fetch.benchmark` for a source."""
    values = {"task": "quiz", "sha256": None, "shots_split": None, "preparation": "none", "max_rejected_fraction": 0.5}
    return BenchmarkSourceParams.model_validate(values | {"source": None if source is None else str(source)} | changes)


def collected(
    folder: Path, source: Path | str | None, **changes: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Return the items, the rejected rows and the summary that a source gives."""
    folder.mkdir(exist_ok=True)
    summary = collect_items(benchmark_source(source, **changes), folder)
    items = read_table(folder / "items.parquet", ITEMS).to_pylist()
    return items, read_table(folder / "rejected.parquet", REJECTED).to_pylist(), summary

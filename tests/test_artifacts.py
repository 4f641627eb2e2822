"""Contracts, byte-stable Parquet and atomic writes."""

import errno
import itertools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprotune import artifacts
from reprotune.artifacts import FORMATTED, TOKENS, table_writer
from reprotune.errors import UserError


def formatted(count: int) -> pa.Table:
    rows = [{"id": f"r{row}", "prompt": f"p{row}" * 20, "response": "x", "header": ""} for row in range(count)]
    return pa.Table.from_pylist(rows, schema=FORMATTED)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=5))
def test_bytes_do_not_depend_on_how_the_rows_are_cut(cuts: list[int]) -> None:
    table = formatted(20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifacts.write_table(folder / "whole.parquet", table)
        with table_writer(folder / "pieces.parquet", FORMATTED) as writer:
            borders = sorted({0, *cuts, table.num_rows})
            for start, stop in itertools.pairwise(borders):
                writer.write(table.slice(start, stop - start))
        assert (folder / "whole.parquet").read_bytes() == (folder / "pieces.parquet").read_bytes()


def test_round_trip_of_token_lists(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "prompt_ids": [1, 2], "response_ids": [50256]},
        {"id": "b", "prompt_ids": [], "response_ids": [3]},
    ]
    table = pa.Table.from_pylist(rows, schema=TOKENS)
    artifacts.write_table(tmp_path / "t.parquet", table)
    assert artifacts.read_table(tmp_path / "t.parquet", TOKENS).to_pylist() == rows
    assert artifacts.count_rows(tmp_path / "t.parquet", TOKENS) == 2


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    artifacts.write_table(path, formatted(3))
    before = path.read_bytes()
    with pytest.raises(UserError, match="id r0 occurs twice"), table_writer(path, FORMATTED) as writer:
        writer.write(formatted(1))
        writer.write(formatted(1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_null_in_a_required_column_names_row_and_column(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "prompt": ["x", None], "response": ["y", "z"], "header": ["", ""]})
    with (
        pytest.raises(UserError, match="column prompt is null in row 1"),
        table_writer(tmp_path / "t", FORMATTED) as out,
    ):
        out.write(table)


def test_a_null_is_named_by_its_row_also_where_rows_are_read_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    prompts = ["x"] * 30
    columns = {"id": [str(row) for row in range(30)], "prompt": prompts, "response": prompts, "header": prompts}
    pq.write_table(pa.table(columns | {"prompt": [*prompts[:25], None, *prompts[26:]]}), path)
    batches = artifacts.iter_batches(path, FORMATTED, rows=10)
    assert [next(batches).num_rows for _ in range(2)] == [10, 10]
    with pytest.raises(UserError, match=r"t\.parquet: column prompt is null in row 25, but every row needs a value"):
        next(batches)


def test_what_is_read_must_keep_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match=r"t\.parquet is missing: run `dvc repro`"):
        artifacts.read_table(path, FORMATTED)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match=r"t\.parquet is damaged"):
        artifacts.read_table(path, FORMATTED)
    pq.write_table(pa.table({"id": ["a"], "prompt": [1], "response": ["x"], "header": [""]}), path)
    with pytest.raises(UserError, match="column prompt should be string but has type int64"):
        artifacts.read_table(path, FORMATTED)
    columns = {name: pa.array(["a"]) for name in ("id", "prompt", "response", "header")}
    twice = pa.Table.from_arrays([*columns.values(), columns["prompt"]], names=[*columns, "prompt"])
    pq.write_table(twice, path)
    with pytest.raises(UserError, match="column prompt should be string but has 2 such columns"):
        artifacts.read_table(path, FORMATTED)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (pa.ArrowMemoryError("malloc of size 64 failed"), MemoryError),
        (pa.ArrowException("Failed to launch worker thread: Resource temporarily unavailable"), MemoryError),
        (OSError(errno.EIO, "Input/output error"), OSError),
    ],
)
def test_a_fault_of_the_machine_is_not_called_damage(
    error: Exception, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told that a file is damaged deletes it."""
    path = tmp_path / "t.parquet"
    path.write_bytes(b"")

    def fail(*args: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(raised) as caught:
        artifacts.read_table(path, FORMATTED)
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(path)


def test_flipped_bits_in_the_data_are_noticed(tmp_path: Path) -> None:
    """The footer has no checksum; everything before it is pages, which have."""
    path = tmp_path / "t.parquet"
    rows = [{"id": str(row), "prompt": f"p{row * 7919}", "response": "r", "header": ""} for row in range(50)]
    artifacts.write_table(path, pa.Table.from_pylist(rows, schema=FORMATTED))
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    found = 0
    for place in range(4, len(content) - footer):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            assert artifacts.read_table(path, FORMATTED).to_pylist() == rows
        except UserError as error:
            assert "t.parquet is damaged" in str(error)
            assert "\n" not in str(error), "one sentence, without the insides of a library"
            found += 1
    assert found > 0.5 * (len(content) - footer)


def test_what_killed_processes_left_is_deleted(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    living = tmp_path / f".model.{os.getppid()}.tmp"
    leftovers = [tmp_path / f".model.{ended.pid}.tmp", tmp_path / f".table.json.{ended.pid}.tmp"]
    others = [living, tmp_path / ".model.x.tmp", tmp_path / f".other.{ended.pid}.tmp"]
    for folder in (leftovers[0], *others):
        folder.mkdir()
        (folder / "half").write_text("half")
    leftovers[1].write_text("half")
    with artifacts.replaced_directory(tmp_path / "model"):
        pass
    artifacts.write_json(tmp_path / "table.json", {})
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_json_is_sorted_and_refuses_nan(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "m.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "m.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range float"):
        artifacts.write_json(tmp_path / "m.json", {"a": float("nan")})


def test_a_replaced_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with artifacts.replaced_directory(target) as folder:
        (folder / "old").write_text("1")
    with pytest.raises(RuntimeError), artifacts.replaced_directory(target) as folder:
        (folder / "new").write_text("2")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with artifacts.replaced_directory(target) as folder:
        (folder / "new").write_text("2")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_why_an_old_folder_cannot_go_is_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that it is not empty, which would be the next thing to fail."""
    path = tmp_path / "out"
    (path / "a").mkdir(parents=True)

    def too_many(*args: Any, **settings: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(os, "scandir", too_many)
    with pytest.raises(OSError, match="Too many open files") as caught, artifacts.replaced_directory(path):
        pass
    assert caught.value.errno == errno.EMFILE

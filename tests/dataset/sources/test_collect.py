"""Sources to data/raw/: files of every kind of place, several sources in one, nothing uncounted."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprotune.artifacts import (
    CHECKED_CONVERSATIONS_WITH_SOURCE,
    CHECKED_RECORDS,
    CONVERSATIONS,
    CONVERSATIONS_WITH_SOURCE,
    RECORD_SCHEMAS,
    RECORDS_WITH_SOURCE,
    schema_of,
)
from reprotune.dataset.sources.collect import collect
from reprotune.errors import UserError
from reprotune.params.sections.dataset import ColumnNames, DatasetParams, HubParams, SourceParams
from tests.builders.datasets import dataset_params


def instruction_rows(name: str, count: int) -> list[dict[str, Any]]:
    return [{"instruction": f"{name} {number}", "input": "", "output": "yes"} for number in range(count)]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    return tmp_path


def collected(**changes: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    summary = collect(dataset_params(**changes), Path("raw"))
    assert sorted(path.name for path in Path("raw").iterdir()) == ["records.parquet", "rejected.parquet"]
    return pq.read_table("raw/records.parquet").to_pylist(), summary


def test_shards_of_a_folder_and_of_a_pattern_in_the_order_of_their_names(folder: Path) -> None:
    for shard in (2, 0, 1):
        write(folder / f"my/rows-{shard}.parquet", instruction_rows(f"shard {shard}, row", 3))
    (folder / "my/README.md").write_text("about")
    records, summary = collected(source="my")
    assert [row["instruction"] for row in records] == [f"shard {s}, row {r}" for s in range(3) for r in range(3)]
    assert [row["source_row"] for row in records] == list(range(9))
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "my").glob("rows*"))
    }
    listed = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    assert summary["sha256"] == hashlib.sha256(listed.encode()).hexdigest(), "as `sha256sum rows* | sha256sum` says"
    assert collected(source="my/rows-*.parquet", sha256=summary["sha256"])[0] == records
    assert len(collected(source="m*/rows-[01].parquet")[0]) == 6


def test_a_fault_in_a_shard_names_it(folder: Path) -> None:
    write(folder / "my/a.jsonl", instruction_rows("a", 3))
    write(folder / "my/b.jsonl", [*instruction_rows("b", 1), {"instruction": "no answer"}])
    with pytest.raises(UserError, match=r"my: row 1 of my/b\.jsonl \(counting from 0\) is unusable: output is missing"):
        collected(source="my", on_bad_row="fail")
    with pytest.raises(UserError, match=r"the first is row 1 of my/b\.jsonl"):
        collected(source="my", max_rejected_fraction=0.0)
    write(folder / "my/c.parquet", instruction_rows("c", 50))
    whole = (folder / "my/c.parquet").read_bytes()
    (folder / "my/c.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"my/c\.parquet is not a readable Parquet file"):
        collected(source="my")


def test_places_without_files(folder: Path) -> None:
    (folder / "empty").mkdir()
    for source, message in [
        ("empty", "a folder without a file"),
        ("x/*.json", "matches no file"),
        ("x", "is not a file"),
    ]:
        with pytest.raises(UserError, match=f"{message}.*fetch.dataset.source"):
            collected(source=source)


def several(**by_name: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": None,
        "sources": [{"name": name, "source": f"{name}.jsonl", **keys} for name, keys in by_name.items()],
    }


def test_several_sources_keep_their_names_and_every_row_is_counted(folder: Path) -> None:
    write(folder / "a.jsonl", [*instruction_rows("same", 4), {"instruction": "bad"}])
    write(folder / "b.jsonl", instruction_rows("same", 2))
    records, summary = collected(**several(a={}, b={"role": "test"}))
    assert schema_of(Path("raw/records.parquet"), *RECORD_SCHEMAS) is RECORDS_WITH_SOURCE
    assert [(row["source"], row["source_row"]) for row in records] == [
        *(("a", n) for n in range(4)),
        ("b", 0),
        ("b", 1),
    ]
    assert records[4]["id"] == f"{records[0]['id']}-2", "ids are unique across sources"
    [rejected] = pq.read_table("raw/rejected.parquet").to_pylist()
    assert (rejected["source"], rejected["source_row"]) == ("a", 4)
    assert (summary["rows"], summary["records"], summary["rejected"], summary["not_taken"]) == (7, 6, 1, 0)
    assert {name: (one["role"], one["taken"]) for name, one in summary["sources"].items()} == {
        "a": ("divided", 4),
        "b": ("test", 2),
    }


def test_instructions_among_conversations_become_conversations(folder: Path) -> None:
    turns = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ho."}]
    write(folder / "chats.jsonl", [{"conversations": turns}])
    write(folder / "a.jsonl", [{"instruction": "Add.", "input": "1 and 2", "output": "3", "category": "sums"}])
    records, summary = collected(**several(chats={}, a={}))
    assert schema_of(Path("raw/records.parquet"), *RECORD_SCHEMAS) is CONVERSATIONS_WITH_SOURCE
    assert records[1]["messages"] == [
        {"role": "user", "content": "Add.\n\n1 and 2"},
        {"role": "assistant", "content": "3"},
    ]
    assert (records[1]["category"], summary["shape"]) == ("sums", "messages")
    alone, _ = collected(source="chats.jsonl")
    assert schema_of(Path("raw/records.parquet"), *RECORD_SCHEMAS) is CONVERSATIONS
    assert alone[0]["id"] == records[0]["id"]


def test_samples_are_seeded_and_stay_as_a_source_grows(folder: Path) -> None:
    write(folder / "a.jsonl", instruction_rows("a", 400))
    write(folder / "b.jsonl", instruction_rows("b", 100))
    picked = {}
    for seed in (1, 1, 2):
        records, summary = collected(seed=seed, **several(a={"max_rows": 40}, b={}))
        rows = [row["source_row"] for row in records if row["source"] == "a"]
        assert len(rows) == 40 and rows == sorted(rows)
        assert picked.setdefault(seed, rows) == rows
    assert picked[1] != picked[2]
    assert summary["not_taken"] == 360
    write(folder / "a.jsonl", instruction_rows("a", 440))
    records, _ = collected(seed=1, **several(a={"max_rows": 40}, b={}))
    assert len({row["source_row"] for row in records if row["source"] == "a"} & set(picked[1])) > 30

    records, _ = collected(**several(a={"weight": 3.0}, b={"weight": 1.0}))
    taken = [row["source"] for row in records]
    assert (taken.count("a"), taken.count("b")) == (300, 100), "as many as there are in that proportion"
    records, _ = collected(**several(a={"weight": 1.0, "max_rows": 10}, b={"weight": 2.0}))
    taken = [row["source"] for row in records]
    assert (taken.count("a"), taken.count("b")) == (10, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": None}, "source should be set"),
        ({"sources": [{"name": "a", "source": "a"}]}, "source should be as where nothing is set, source null"),
        ({**several(a={}), "format": "csv"}, "format should be as where nothing is set"),
        ({"hub": {"revision": "0" * 40}}, "hub should be as it ships"),
        ({"source": "hub:a/b/c"}, "it should be hub:owner/name"),
        (several(a={}, b={"name": "a"}), "two sources are named 'a'"),
        (several(a={"role": "test"}), "no source has rows to train on"),
        (several(a={"weight": 2.0}, b={}), "source 'a' alone has a weight"),
        (several(a={}, b={"role": "test", "weight": 2.0}), r"sources\.1: a source with the role test has no weight"),
        (several(a={"rôle": "test"}), r"sources\.0\.rôle is not a known key"),
    ],
)
def test_sections_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataset_params(**changes)


def test_defaults_of_the_classes_are_those_that_ship() -> None:
    shipped = DatasetParams.load("fetch.dataset", Path(__file__).resolve().parents[3] / "params.yaml")
    assert (shipped.columns, shipped.hub, shipped.sources) == (ColumnNames(), HubParams(), [])
    assert (shipped.shape, shipped.seed) == (dataset_params().shape, dataset_params().seed)


@pytest.mark.parametrize(
    ("source", "followed"),
    [
        ("my/rows.json", "my/rows.json"),
        ("my", "my"),
        ("my/*.json", "my"),
        ("my/**/part-?.json", "my"),
        ("*.json", "."),
        ("https://example.org/*.json", None),
        ("hub:owner/name", None),
        ("embedded", "data/embedded/dataset.jsonl"),
    ],
)
def test_what_dvc_follows(source: str, followed: str | None) -> None:
    assert SourceParams(name="a", source=source).followed == (None if followed is None else Path(followed))


def test_checks_travel_with_their_rows(folder: Path) -> None:
    rows = instruction_rows("checked", 3)
    rows[0]["checks"] = [{"kind": "words", "at_least": 2}, {"text": "yes", "kind": "includes"}]
    rows[1]["checks"] = [{"kind": "wordy"}]
    write(folder / "my.jsonl", rows)
    plain, summary = collected(source="my.jsonl")
    assert "checks" not in plain[0] and summary["unused_columns"] == ["checks"]
    settings = {"columns": ColumnNames(checks="checks"), "max_rejected_fraction": 1.0}
    records, summary = collected(source="my.jsonl", **settings)
    assert schema_of(Path("raw/records.parquet"), *RECORD_SCHEMAS) is CHECKED_RECORDS
    assert [record["checks"] for record in records] == [
        '[{"at_least": 2, "kind": "words"}, {"at_least": 1, "kind": "includes", "text": "yes"}]',
        None,
    ]
    assert [record["id"] for record in records] == [plain[0]["id"], plain[2]["id"]]
    assert summary["reasons"] == {"check 0 is of no kind that there is": 1} and "unused_columns" not in summary
    Path("my.csv").write_text('instruction,output,checks\na,b,"[{""kind"": ""no_commas""}]"\nc,d,\n')
    write(folder / "my.parquet", [{**rows[2], "checks": [{"kind": "quoted", "at_least": None}]}, rows[2]])
    expected = {"my.csv": '[{"kind": "no_commas"}]', "my.parquet": '[{"kind": "quoted"}]'}
    for name, text in expected.items():
        assert [record["checks"] for record in collected(source=name, **settings)[0]] == [text, None]
    with pytest.raises(UserError, match=r"no column 'cheks' \(did you mean 'checks'\?\).*dataset\.columns\.checks"):
        collected(source="my.csv", columns=ColumnNames(checks="cheks"))


def test_in_a_mix_some_sources_have_checks_and_all_may_become_conversations(folder: Path) -> None:
    write(folder / "a.jsonl", [{**row, "must": [{"kind": "quoted"}]} for row in instruction_rows("a", 1)])
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    write(folder / "b.jsonl", [{"messages": turns}])
    sources = [
        SourceParams(name="a", source="a.jsonl", columns=ColumnNames(checks="must")),
        SourceParams(name="b", source="b.jsonl"),
    ]
    records, _ = collected(source=None, sources=sources)
    assert schema_of(Path("raw/records.parquet"), *RECORD_SCHEMAS) is CHECKED_CONVERSATIONS_WITH_SOURCE
    assert [(record["source"], record["checks"]) for record in records] == [("a", '[{"kind": "quoted"}]'), ("b", None)]


def test_the_column_of_checks_is_no_other_s() -> None:
    with pytest.raises(ValueError, match="checks and output are both the column 'output'"):
        ColumnNames(checks="output")

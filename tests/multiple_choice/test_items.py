"""From files to items: every source that the manual names, and every way in which rows can be wrong."""

import csv
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprotune.dataset.sources import located
from reprotune.errors import UserError
from reprotune.multiple_choice.items import collect_items
from tests.builders.benchmarks import benchmark_source, collected

GOOD = {"question": "The sky is", "choices": ["green", "blue"], "answer": 1}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for the results."""
    return tmp_path / "out"


@pytest.fixture
def mmlu(shared_data: Path) -> Path:
    """Three subjects of MMLU, as published."""
    return shared_data / "mmlu"


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def published(folder: Path) -> list[tuple[str, str, list[str]]]:
    """Subject, role and fields of every row, read by Python's csv alone."""
    rows = []
    for path in sorted(folder.glob("*.csv")):
        subject, _, split = path.stem.rpartition("_")
        with path.open(encoding="utf-8", newline="") as file:
            rows += [(subject, "shot" if split == "dev" else "item", fields) for fields in csv.reader(file)]
    return rows


def test_mmlu_as_published_is_kept_to_the_last_blank(out: Path, mmlu: Path) -> None:
    items, rejected, summary = collected(out, mmlu, task="mmlu", shots_split="dev")
    expected = published(mmlu)
    assert [
        (item["subject"], item["role"], [item["question"], *item["choices"], "ABCD"[item["answer"]]]) for item in items
    ] == expected
    assert [item["source_row"] for item in items] == list(range(len(expected)))
    assert rejected == [] and summary["items"] + summary["shots"] == summary["rows"] == len(expected)
    assert summary["options"] == {"4": len(expected)} and summary["groups"] == "lm-eval"
    assert {item["subject"]: item["group"] for item in items} == {
        "abstract_algebra": "STEM",
        "high_school_european_history": "humanities",
        "world_religions": "humanities",
    }
    assert any(item["question"].startswith(" ") for item in items), "these rows show that blanks stay"


@pytest.mark.parametrize("form", ["folders", "tar", "tgz", "table", "file"])
def test_mmlu_is_the_same_in_every_form(out: Path, tmp_path: Path, mmlu: Path, form: str) -> None:
    expected, _, _ = collected(out, mmlu, shots_split="dev")
    source = tmp_path / f"data.{form}"
    if form in ("folders", "tar", "tgz"):
        root = tmp_path / "copy"
        for path in mmlu.glob("*.csv"):
            folder = root / path.stem.rpartition("_")[2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
        (root / "val").mkdir()
        (root / "val" / "world_religions_val.csv").write_text("q,a,b,c,d,A\n", encoding="utf-8")
        (root / "README.txt").write_text("not a table", encoding="utf-8")
        if form == "folders":
            source = root
        else:
            with tarfile.open(source, "w:gz" if form == "tgz" else "w") as file:
                file.add(root, "data")
    else:
        columns = ("question", "choices", "answer", "subject", "split")
        rows = [
            dict(zip(columns, (item["question"], item["choices"], item["answer"], item["subject"], split), strict=True))
            for item in expected
            for split in ["dev" if item["role"] == "shot" else "test"]
        ]
        if form == "table":
            source = tmp_path / "all"
            source.mkdir()
            for split in ("dev", "test"):
                part = pa.Table.from_pylist([row for row in rows if row["split"] == split])
                pq.write_table(part.drop_columns(["split"]), source / f"{split}-00000-of-00001.parquet")
        else:
            source = jsonl(tmp_path / "rows.jsonl", *rows, rows[0] | {"split": "val"})
    items, _, summary = collected(out, source, shots_split="dev", split=None if form != "file" else "test")
    assert _content(items) == _content(expected)
    assert summary["other_splits"] == (form == "file")


def test_mmlu_with_a_wrong_row_names_file_and_row(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "anatomy_test.csv"
    path.write_text('" q",None,b,c,d,A\nq,a,b,c,d,E\nq,a,b,c,d\nq,a,,c,d,B\n', encoding="utf-8")
    items, rejected, _ = collected(out, path, max_rejected_fraction=0.8)
    assert [(item["question"], item["choices"][0], item["group"]) for item in items] == [(" q", "None", "STEM")]
    assert [(row["source_row"], row["reason"]) for row in rejected] == [
        (1, "the answer is not one of its 4 choices"),
        (2, "fewer fields than the header"),
        (3, "choice 2 is empty"),
    ]
    with pytest.raises(UserError, match=r"3 of 4 rows are unusable, the first is row 1 of .*anatomy_test\.csv"):
        collect_items(benchmark_source(path), out)


def test_a_header_makes_a_published_name_an_ordinary_file(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "quiz_test.csv"
    path.write_text("question,a,b,answer\nThe sky is,green,blue,B\n", encoding="utf-8")
    [item], _, _ = collected(out, path, columns={"choices": "a,b"})
    assert (item["subject"], item["choices"], item["answer"]) == ("quiz", ["green", "blue"], 1)
    path.write_text("The sky is,B\n", encoding="utf-8")
    with pytest.raises(UserError, match="the first row has 2 fields, but by its name"):
        collected(out, path)


ARC = {"question": "q", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"}
PIQA = {"goal": "g", "sol1": "a", "sol2": "b", "label": 1}
HELLASWAG = {"activity_label": "Run", "ctx_a": "He", "ctx_b": "is", "endings": ["a", "b", "c"], "label": "2"}


@pytest.mark.parametrize(
    ("row", "changes", "question", "answer"),
    [
        (ARC, {"columns": {"answer": "answerKey"}}, "q", 2),
        (PIQA, {"columns": {"question": "goal", "choices": "sol1,sol2", "answer": "label"}}, "g", 1),
        (
            HELLASWAG,
            {"columns": {"choices": "endings", "answer": "label"}, "preparation": "hellaswag"},
            "Run: He Is",
            2,
        ),
    ],
    ids=["arc", "piqa", "hellaswag"],
)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_other_benchmarks(
    out: Path, tmp_path: Path, row: dict[str, Any], changes: dict[str, Any], question: str, answer: int, ending: str
) -> None:
    path = tmp_path / f"rows.{ending}"
    if ending == "jsonl":
        jsonl(path, row)
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    [item], _, _ = collected(out, path, **changes)
    assert (item["question"], item["answer"], item["subject"], item["group"]) == (question, answer, "quiz", None)


def test_ids_are_of_the_content_and_repeats_are_numbered(out: Path, tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"answer": 0}, GOOD | {"context": "c"}, GOOD | {"subject": 7}]
    items, _, summary = collected(out, jsonl(tmp_path / "rows.jsonl", *rows))
    ids = [item["id"] for item in items]
    assert ids[1] == f"{ids[0]}-2" and len({identifier[:16] for identifier in ids}) == 3
    assert (summary["repeated"], items[2]["context"], items[3]["subject"]) == (1, "c", "7")


def test_equal_choices_are_kept_and_counted(out: Path, tmp_path: Path) -> None:
    row = GOOD | {"choices": ["x", "x"], "answer": "B"}
    [item], _, summary = collected(out, jsonl(tmp_path / "rows.jsonl", row))
    assert item["answer"] == 1 and summary["equal_choices"] == 1


def test_none_is_no_benchmark(out: Path) -> None:
    items, rejected, summary = collected(out, None)
    assert items == rejected == [] and summary["items"] == 0 and "sha256" not in summary


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([GOOD], {"columns": {"question": "Question"}}, r"no column 'Question' \(did you mean 'question'\?\).*columns"),
        ([GOOD], {"columns": {"choices": "a,b"}}, "no column 'a'.*set fetch.benchmark.columns.choices"),
        ([GOOD], {"shots_split": "dev"}, "no row of the split 'dev'"),
        ([GOOD], {"split": "exam"}, "no item of the split 'exam' in 1 row"),
        ([GOOD | {"answer": 2}], {}, "row 0 of .*: the answer is not one of its 2 choices"),
        ([GOOD, 3, 4], {}, "row 1 of .*: not a JSON object"),
    ],
)
def test_a_source_that_will_not_do_is_one_sentence(
    out: Path, tmp_path: Path, rows: list[Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        collected(out, jsonl(tmp_path / "rows.jsonl", *rows), **changes)
    assert "\n" not in str(caught.value)


def test_files_of_other_splits_alone_are_no_benchmark(out: Path, tmp_path: Path) -> None:
    (tmp_path / "x_val.csv").write_text("q,a,b,A\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"files of other splits only, such as .*x_val\.csv: set fetch\.benchmark\.split"
    ):
        collected(out, tmp_path / "x_val.csv")


def test_messages_of_the_readers_name_this_source(out: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"just words")
    for path, message in [
        (tmp_path / "x", r"set fetch\.benchmark\.format"),
        (tmp_path / "none.jsonl", r"set fetch\.benchmark\.source"),
    ]:
        with pytest.raises(UserError, match=message):
            collected(out, path)
    with pytest.raises(UserError, match=r"but fetch\.benchmark\.sha256 is 000"):
        collected(out, jsonl(tmp_path / "rows.jsonl", GOOD), sha256="0" * 64)


def test_the_hub_gives_items_and_examples_from_two_splits(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def hub_files(key: str, source: Any) -> dict[str, Path]:
        asked.append((key, source.hub.configuration, source.hub.split))
        name = f"all/{source.hub.split}-00000-of-00001.parquet"
        path = tmp_path / f"{source.hub.split}.parquet"
        pq.write_table(pa.Table.from_pylist([GOOD | {"subject": "anatomy", "split": "dev"}]), path)
        return {name: path}

    monkeypatch.setattr(located, "hub_files", hub_files)
    hub = {"configuration": "all", "split": "test", "revision": "c" * 40}
    items, _, _ = collected(out, "hub:cais/mmlu", hub=hub, shots_split="dev")
    assert asked == [("fetch.benchmark", "all", "test"), ("fetch.benchmark", "all", "dev")]
    assert Counter(item["role"] for item in items) == {"item": 1, "shot": 1}
    assert items[0]["role"] == "item"


def _content(items: list[dict[str, Any]]) -> list[Any]:
    return sorted((item["id"], item["role"], item["question"], item["choices"], item["answer"]) for item in items)

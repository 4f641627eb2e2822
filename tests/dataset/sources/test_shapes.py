"""Rows of every shape: recognized, read, or set aside with a reason that names the fault."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprotune.artifacts import CONVERSATIONS, RECORDS
from reprotune.dataset.sources.fields import UnusableError
from reprotune.dataset.sources.readers import read_rows
from reprotune.dataset.sources.shapes import SHAPES, columns_read
from reprotune.dataset.sources.turns import ROLES, canonical_messages
from tests.builders.datasets import dataset_params, normalizer_of

U, A = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}
S = {"role": "system", "content": "Be brief."}
HUMAN, GPT = {"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ho."}
SEED_TASK = {
    "id": "seed_task_0",
    "name": "sums",
    "instruction": "Add.",
    "instances": [{"input": "1 and 2", "output": "3"}, {"input": "", "output": "0"}],
    "is_classification": False,
}
ROWS: dict[str, dict[str, Any]] = {
    "instruction": {"instruction": "Add.", "output": "3", "text": "the whole prompt", "prompt": "p", "completion": "c"},
    "seed_tasks": SEED_TASK,
    "messages": {"messages": [S, U, A, U, A], "prompt": "Hi?", "prompt_id": "1"},
    "sharegpt": {"id": "1", "conversations": [HUMAN, GPT]},
    "prompt_completion": {"prompt": "Add 1 and 2.", "completion": "3"},
    "text": {"text": "Once upon a time.", "meta": {}},
}


def read(*rows: Any, **changes: Any) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    normalizer = normalizer_of(dataset_params(**changes))
    records, rejected = normalizer.normalize(list(rows))
    return records, [row["reason"] for row in rejected], normalizer.finish()


@pytest.mark.parametrize("name", ROWS)
def test_a_shape_is_recognized_and_named_unless_it_is_the_usual_one(name: str) -> None:
    for shape in ("auto", name):
        records, rejected, summary = read(ROWS[name], shape=shape)
        assert rejected == []
        assert summary.get("shape", "instruction") == name
        schema = CONVERSATIONS if SHAPES[name].conversations else RECORDS
        assert {*records[0]} == {*schema.names}
        assert pa.Table.from_pylist(records, schema=schema).num_rows == summary["records"]


def test_what_rows_become() -> None:
    assert read(ROWS["messages"])[0][0]["messages"] == [S, U, A, U, A]
    assert read(ROWS["sharegpt"])[0][0]["messages"] == [U, A]
    assert read(ROWS["text"])[0][0]["messages"] == [{"role": "assistant", "content": "Once upon a time."}]
    [record], _, _ = read(ROWS["prompt_completion"])
    assert (record["instruction"], record["input"], record["output"]) == ("Add 1 and 2.", "", "3")
    records, _, summary = read(SEED_TASK, SEED_TASK)
    assert [(row["input"], row["output"], row["source_row"]) for row in records] == [
        ("1 and 2", "3", 0),
        ("", "0", 0),
        ("1 and 2", "3", 1),
        ("", "0", 1),
    ]
    assert (summary["rows"], summary["records"]) == (2, 4)
    assert len({row["id"] for row in records}) == 4


def test_columns_of_other_names() -> None:
    columns = {"messages": "dialogue", "category": "topic", "system": "preamble"}
    row = {"dialogue": [U, A], "preamble": "Be brief.", "topic": 7}
    [record], _, summary = read(row, columns=columns)
    assert record["messages"] == [S, U, A]
    assert record["category"] == "7"
    assert "unused_columns" not in summary
    assert read({"question": "a", "answer": "b"}, columns={"prompt": "question", "completion": "answer"})[2]["shape"]
    # as could be said before there were shapes: names that are now the defaults of other shapes
    [record], _, summary = read({"prompt": "a", "text": "b"}, columns={"instruction": "prompt", "output": "text"})
    assert record["instruction"] == "a"
    assert "shape" not in summary


FAULTY: list[tuple[Any, str]] = [
    ([A, U], "wrong role order: the assistant begins"),
    ([U, U, A], "wrong role order: user after user"),
    ([U, A, A], "wrong role order: assistant after assistant"),
    ([U, A, U], "wrong role order: the user has the last word"),
    ([U, S, A], "wrong role order: system is not first"),
    ([S], "there are no messages"),
    ([], "there are no messages"),
    ([U, A | {"content": " \n"}], "empty assistant turn"),
    ([U | {"content": None}, A], "empty user turn"),
    ([U, A | {"role": "critic"}], "unknown role 'critic'"),
    ([U, {"content": "Ho."}], "a message has no role"),
    ([U, A | {"role": 5}], "a role is not text but int"),
    ([U, A | {"tool_calls": [{}]}], "it has tool calls, which are not supported"),
    ([U, {"role": "tool", "content": "{}"}, A], "it has tool calls, which are not supported"),
    ([U | {"content": [{"type": "image_url"}]}, A], "a message of the user holds 'image_url', which is not text"),
    ([U | {"content": 5}, A], "the content of a message is not text but int"),
    ([U, A | {"weight": 0}], "a message has a weight of its own, which is not supported"),
    ([U, "Ho."], "a message is not an object but str"),
    ("Hi?", "messages is not a list but str"),
    (None, "messages is missing"),
    ([U, A | {"content": "x" * 51}], "a message is longer than max_chars (50)"),
]


@pytest.mark.parametrize(("messages", "reason"), FAULTY)
def test_a_faulty_conversation_is_set_aside_with_its_fault(messages: Any, reason: str) -> None:
    records, rejected, summary = read({"messages": [U, A]}, {"messages": messages}, max_chars=50)
    assert rejected == [reason]
    assert len(records) == 1
    assert summary["reasons"] == {reason: 1}


def test_what_else_makes_a_row_unusable() -> None:
    good = {"messages": [U, A]}
    for extra, reason in [
        ({"tools": "[{}]"}, "it comes with tools, which are not supported"),
        ({"images": ["x.png"]}, "it comes with images, which are not supported"),
        (
            {"system": "Be brief.", "messages": [S, U, A]},
            "there are two system prompts, one of them in a column of its own",
        ),
    ]:
        assert read(good, good | extra)[1] == [reason]
    assert read(good | {"tools": "[]", "images": []})[1] == []
    assert read(SEED_TASK, SEED_TASK | {"instances": []})[1] == ["instances is empty"]
    assert read(SEED_TASK, SEED_TASK | {"instances": [{"input": "a"}, 5]})[1] == [
        "output is missing",
        "an instance is not an object but int",
    ]


def test_text_parts_are_text_and_a_blank_system_prompt_is_none() -> None:
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i?"}]
    blank = {"role": "system", "content": " "}
    assert read({"messages": [blank, U | {"content": parts}, A]})[0][0]["messages"] == [U, A]


KEYS = ["role", "content", "from", "type", "text"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "type", "text"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_whatever_a_list_of_turns_is_it_becomes_canonical_or_unusable(turns: Any) -> None:
    try:
        messages = canonical_messages(turns, "messages", "", 10)
    except UnusableError as fault:
        assert str(fault)
    else:
        assert check(messages)


@given(st.lists(st.tuples(st.sampled_from([*ROLES, "tool", "x"]), st.sampled_from(["a", "", " "])), max_size=6))
def test_only_canonical_conversations_come_through(turns: list[tuple[str, str]]) -> None:
    spelled = [{"from": role, "value": text} for role, text in turns]
    wanted = [(ROLES.get(role, role), text) for role, text in turns]
    if wanted and wanted[0][0] == "system" and not wanted[0][1].strip():
        del wanted[0]
    fit = check([{"role": role, "content": text} for role, text in wanted])
    try:
        messages = canonical_messages(spelled, "conversations", "", 10)
    except UnusableError:
        assert not fit
    else:
        assert fit
        assert [(message["role"], message["content"]) for message in messages] == wanted


def check(messages: list[dict[str, str]]) -> bool:
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    canonical = turns == ["user", "assistant"] * (len(turns) // 2) and len(turns) > 0
    return canonical and all(message["content"].strip() for message in messages)


def rows_of(path: Path) -> list[Any]:
    return [
        row
        for batch in read_rows(path, str(path), "auto", columns_read("auto", dataset_params().columns))
        for row in batch
    ]


def test_real_conversations(shared_data: Path) -> None:
    rows = rows_of(shared_data / "conversations/fastchat_dummy_conversation.json")
    records, rejected, summary = read(*rows)
    assert (len(records), rejected, summary["shape"]) == (500, [], "sharegpt")
    written = json.loads((shared_data / "conversations/fastchat_dummy_conversation.json").read_text(encoding="utf-8"))
    for row, record in zip(written, records, strict=True):
        assert [turn["value"] for turn in row["conversations"]] == [turn["content"] for turn in record["messages"]]


def test_real_tool_calls_are_refused(shared_data: Path) -> None:
    rows = rows_of(shared_data / "conversations/llamafactory_glaive_toolcall_en_demo.json")
    normalizer = normalizer_of(dataset_params())
    records, rejected = normalizer.normalize(rows)
    called = [row for row in rows if any(turn["from"] == "function_call" for turn in row["conversations"])]
    offered = [row for row in rows if row["tools"] != "[]"]
    assert called and len(records) == len(rows) - len([row for row in rows if row in called or row in offered])
    assert {row["reason"].partition(",")[0] for row in rejected} <= {"it has tool calls", "it comes with tools"}

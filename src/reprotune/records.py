"""Records as people and judges read them, whether the source held instructions or conversations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprotune.artifacts import RECORD_SCHEMAS, read_table, schema_of


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of records with the columns of `RECORDS`; raises `UserError` as `read_table` does."""
    rows = read_table(path, schema_of(path, *RECORD_SCHEMAS)).to_pylist()
    return [_told(row) if "messages" in row else row for row in rows]


def _told(conversation: Mapping[str, Any]) -> dict[str, Any]:
    """Return a conversation as an instruction: what was said before the last answer, which is the output."""
    *before, answer = conversation["messages"]
    if [message["role"] for message in before] == ["user"]:
        asked = before[0]["content"]
    else:
        asked = "\n\n".join(f"{message['role']}: {message['content']}" for message in before)
    return {**conversation, "instruction": asked, "input": "", "output": answer["content"]}

"""Records as judges and reports read them."""

from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import CONVERSATIONS, write_table
from reprotune.records import read_records


def test_a_conversation_is_read_as_the_instruction_that_its_last_answer_follows(tmp_path: Path) -> None:
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")]
    messages = [{"role": role, "content": content} for role, content in said]
    rows = [
        {"id": str(number), "messages": some, "category": None, "source_row": number}
        for number, some in enumerate((messages, messages[1:3], messages[2:3]))
    ]
    write_table(tmp_path / "records.parquet", pa.Table.from_pylist(rows, schema=CONVERSATIONS))
    told = [(row["instruction"], row["input"], row["output"]) for row in read_records(tmp_path / "records.parquet")]
    assert told == [
        ("system: Be brief.\n\nuser: Hi\n\nassistant: Hello\n\nuser: Bye", "", "See you"),
        ("Hi", "", "Hello"),
        ("", "", "Hello"),
    ]

"""The answers of another revision as a file that `judge.against` reads."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reprotune.artifacts import RECORDS, RESPONSES, write_table
from reprotune.compare.opponent import opponent_outputs
from reprotune.errors import UserError
from reprotune.judging.opponents import read_outputs
from tests.builders.command_line import reprotune
from tests.compare.test_revision import Foreign, foreign

__all__ = ["foreign"]


def commit(repository: Foreign, ids: tuple[str, ...] = ("a", "b")) -> str:
    """Commit a revision whose model answered two rows; returns its hash."""
    records: list[dict[str, Any]] = [
        {"id": row, "instruction": f"Do {row}.", "input": "", "output": "r", "category": None, "source_row": 0}
        for row in ("a", "b")
    ]
    counts = {"prompt": "p", "reference": "r", "prompt_tokens": 1, "response_tokens": 1, "finish_reason": "eos"}
    responses = [{"id": row, "response": f"done {row}", **counts} for row in ids]
    file = repository.root.parent / "table.parquet"
    hashes = []
    for rows, schema in ((records, RECORDS), (responses, RESPONSES)):
        write_table(file, pa.Table.from_pylist(rows, schema=schema))
        hashes.append(repository.store(file.read_bytes()))
    made = repository.commit(
        **{"data__split__test.parquet": hashes[0], "data__responses__finetuned.parquet": hashes[1]}
    )
    assert made.commit is not None
    return made.commit


def test_a_revision_becomes_a_file_of_outputs(foreign: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    head = commit(foreign)
    monkeypatch.chdir(foreign.root)
    done = reprotune("opponent", "HEAD")
    path = Path(f"opponents/finetuned-{head[:8]}.json")
    assert done.stdout == f"{path}: 2 answers of finetuned@{head[:8]}\n"
    first = path.read_bytes()
    reprotune("opponent", head)
    assert path.read_bytes() == first  # however the revision is called
    assert json.loads(first)[0] == {
        "id": "a",
        "instruction": "Do a.",
        "input": "",
        "output": "done a",
        "generator": f"finetuned@{head[:8]}",
        "dataset": "reprotune",
    }
    outputs = read_outputs(path)
    assert (outputs.name, outputs.by_id) == (f"finetuned@{head[:8]}", {"a": "done a", "b": "done b"})


def test_what_a_revision_lacks_is_said(foreign: Foreign) -> None:
    commit(foreign, ids=("a", "z"))
    with pytest.raises(UserError, match=r"HEAD \(\w{8}\): .*do not belong together \(row z\)"):
        opponent_outputs("HEAD", "finetuned", foreign.root)
    with pytest.raises(UserError, match=r"has no data/responses/base\.parquet: run `dvc repro` there"):
        opponent_outputs("HEAD", "base", foreign.root)
    with pytest.raises(UserError, match=r"no model 'other': give one of base, finetuned"):
        opponent_outputs("HEAD", "other", foreign.root)
    with pytest.raises(UserError, match="Git knows no revision 'nowhere'"):
        opponent_outputs("nowhere", "finetuned", foreign.root)

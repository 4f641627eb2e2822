"""Params with other values."""

from pathlib import Path

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from reprotune.runs.changes import changed_params


def test_only_what_is_named_changes_and_the_file_stays(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    found = changed_params({"finetune.seed": 9, "finetune.lora.rank": 3})
    assert (found.finetune.seed, found.finetune.lora.rank) == (9, 3)
    same = found.model_dump()
    same["finetune"]["seed"], same["finetune"]["lora"]["rank"] = 123, 16
    assert same == Document.read().model_dump()
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("finetune.sed", 1, "has no key 'finetune.sed'"),
        ("finetune", {}, "has no key 'finetune'"),
        ("finetune.seed", "many", "finetune.seed should be a whole number"),
    ],
)
def test_a_wrong_change_is_one_sentence(project: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        changed_params({key: value})

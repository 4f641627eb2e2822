"""What params of several sections mean together."""

import json
from pathlib import Path
from typing import Any

import pytest

from reprotune.errors import UserError
from reprotune.params.document import Document
from tests.builders.params import whole_params


@pytest.mark.parametrize(("role", "test", "wrong"), [("test", 0.1, True), ("test", 0, False), ("train", 0.1, False)])
def test_a_source_of_its_own_is_all_of_a_split(role: str, test: float, wrong: bool) -> None:
    values = json.loads(whole_params("{}"))
    sources = [{"name": "a", "source": "a.json"}, {"name": "b", "source": "b.json", "role": role}]
    values["fetch"]["dataset"].update(source=None, sources=sources)
    values["split"]["test"] = test
    if not wrong:
        Document.parse("", values)
        return
    with pytest.raises(UserError, match=r"has the role test, but split\.test is 0\.1: set it to 0"):
        Document.parse("", values)


def test_examples_need_a_split_to_come_from() -> None:
    values = json.loads(whole_params("{}"))
    values["benchmark"]["shots"] = 5
    with pytest.raises(UserError, match=r"benchmark\.shots is 5, but fetch\.benchmark\.shots_split is null"):
        Document.parse("", values)
    values["fetch"]["benchmark"]["shots_split"] = "dev"
    Document.parse("", values)
    values["fetch"]["benchmark"].update(source=None, shots_split=None)
    Document.parse("", values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev", "shots_split": "dev"}, "the items and the examples are both of the split 'dev'"),
        ({"source": "hub:a/b", "split": "test"}, "split should be null for a dataset on the hub"),
        ({"source": "hub:a/b", "shots_split": "train"}, "are both of the split 'train'"),
        ({"hub": {"configuration": "all", "split": "train", "revision": None}}, "hub should be as it ships"),
        ({"task": "My Task"}, "task"),
    ],
)
def test_sources_of_a_benchmark_that_contradict_themselves(changes: dict[str, Any], message: str) -> None:
    values = json.loads(whole_params("{}"))
    values["fetch"]["benchmark"].update(changes)
    with pytest.raises(UserError, match=message):
        Document.parse("", values)


def test_files_of_a_benchmark_are_followed() -> None:
    values = json.loads(whole_params("{}"))
    values["fetch"]["benchmark"]["source"] = "my/*.jsonl"
    values["benchmark"]["text"] = "my/text.txt"
    local = Document.parse("", values).local_files()
    assert local["fetch@benchmark"] == [Path("my")]
    assert local["benchmark@base"] == local["benchmark@finetuned"] == [Path("my/text.txt")]
    values["fetch"]["benchmark"]["source"] = values["benchmark"]["text"] = None
    document = Document.parse("", values)
    assert not {"fetch@benchmark", "benchmark@base"} & set(document.local_files())
    assert document.followed_files()["fetch@benchmark"] == [Path("data/embedded/exam.jsonl")]

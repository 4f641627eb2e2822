"""What params of several sections mean together."""

import json

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

"""Section `fetch`: what no single key shows."""

import pytest

from reprotune.errors import UserError
from reprotune.params.sections.dataset import ColumnNames


def test_a_column_has_one_role() -> None:
    ColumnNames.parse("fetch.dataset.columns", {"instruction": "question", "output": "answer"})
    with pytest.raises(UserError, match=r"columns: instruction and output are both the column 'text'"):
        ColumnNames.parse("fetch.dataset.columns", {"instruction": "text", "output": "text"})

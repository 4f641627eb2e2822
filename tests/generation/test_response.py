"""What is left of a decoded text."""

import pytest

from reprotune.generation.response import answer_text


@pytest.mark.parametrize(
    ("decoded", "header", "expected"),
    [
        (" The answer.\n", "", "The answer."),
        ("\n\n### Response:\nThe answer.", "\n\n### Response:\n", "The answer."),
        ("### Response:\nOne.\n\n### Response:\nTwo.", "\n\n### Response:\n", "One.\n\n\nTwo."),
        ("See ### Response: above", "", "See ### Response: above"),
        (".*", "a.*", ".*"),
        ("", "\n\n### Response:\n", ""),
    ],
)
def test_answer_text(decoded: str, header: str, expected: str) -> None:
    assert answer_text(decoded, header) == expected

"""HellaSwag's rows as lm-eval asks them; the expected texts were worked out by hand from its rules."""

import pytest

from reprotune.dataset.sources.fields import UnusableError
from reprotune.multiple_choice.preparation import PREPARATIONS, without_marks

ROW = {
    "activity_label": "Removing ice from car",
    "ctx_a": "Then, the man writes over the snow. [substeps] He waits.",
    "ctx_b": "then HE",
}


def test_context_and_choices() -> None:
    question, choices = PREPARATIONS["hellaswag"](ROW, [" , he goes [header] home.", "sings [title] loud"])
    assert question == "Removing ice from car: Then, the man writes over the snow. He waits. Then he"
    assert choices == [", he goes home.", "sings. loud"]


def test_an_empty_second_part_leaves_no_blank() -> None:
    question, _ = PREPARATIONS["hellaswag"](ROW | {"ctx_b": ""}, ["a", "b"])
    assert question.endswith("He waits.")


def test_double_blanks_become_one_once() -> None:
    assert without_marks("a   b") == "a  b"  # as a replacement from left to right does


def test_a_row_of_something_else() -> None:
    with pytest.raises(UnusableError, match="ctx_a is missing"):
        PREPARATIONS["hellaswag"]({"activity_label": "x"}, ["a", "b"])

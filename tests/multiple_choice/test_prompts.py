"""Prompts to the letter: questions, beginnings, contexts and examples."""

import pytest

from reprotune.errors import UserError
from reprotune.multiple_choice.prompts import Wording
from tests.builders.items import item

QUESTION = item("  Who? \n", ["Ada", "Bo"], 1)


def test_letters_list_the_options() -> None:
    asked = Wording("letters", False).asked(QUESTION, [])
    assert asked.prompt == "Who?\nA. Ada\nB. Bo\nAnswer:"
    assert asked.continuations == [" A", " B"]


def test_a_question_in_cloze_is_named_one() -> None:
    asked = Wording("cloze", False).asked(QUESTION, [])
    assert asked.prompt == "Question: Who?\nAnswer:"
    assert asked.continuations == [" Ada", " Bo"]


def test_a_beginning_is_continued_after_a_blank() -> None:
    row = item("The capital of France is", ["Paris", "Rome"], subject="capitals")
    shot = item("The capital of Italy is", ["Paris", "Rome"], 1, subject="capitals")
    asked = Wording("cloze", True).asked(row, [shot])
    assert asked.prompt == "The capital of Italy is Rome\n\nThe capital of France is"
    assert asked.continuations == [" Paris", " Rome"]


def test_a_context_comes_first() -> None:
    row = item("Who?", ["Ada", "Bo"], context=" Ada wrote it. ")
    assert Wording("letters", False).asked(row, []).prompt == "Ada wrote it.\nWho?\nA. Ada\nB. Bo\nAnswer:"
    assert Wording("cloze", False).asked(row, []).prompt == "Ada wrote it.\nQuestion: Who?\nAnswer:"
    assert Wording("cloze", True).asked(row, []).prompt == "Ada wrote it. Who?"


def test_subjects_are_described_where_the_source_has_them() -> None:
    row = item("Who?", ["Ada", "Bo"], task="mmlu", subject="world_religions")
    letters = Wording("letters", False).asked(row, [row]).prompt
    heading = "The following are multiple choice questions (with answers) about world religions.\n\n"
    assert letters == f"{heading}Who?\nA. Ada\nB. Bo\nAnswer: A\n\nWho?\nA. Ada\nB. Bo\nAnswer:"
    cloze = Wording("cloze", False).asked(row, []).prompt
    assert cloze.startswith("The following are questions (with answers) about world religions.\n\nQuestion:")
    assert Wording("cloze", True).asked(row, []).prompt == "Who?", "a beginning has no heading"


def test_more_choices_than_letters_are_refused() -> None:
    row = item("Who?", [str(number) for number in range(27)], source_row=7)
    with pytest.raises(UserError, match=r"\(row 7 of the source\) has 27 choices, but there are 26 letters"):
        Wording("letters", False).asked(row, [])
    assert len(Wording("cloze", False).asked(row, []).continuations) == 27

"""From items to what a model is asked: a prompt, and the texts that compete to follow it.

    letters                                        cloze
    The following are multiple choice questions    The following are questions (with answers) about world
    (with answers) about world religions.          religions.

    In what year did ...?                          Question: In what year did ...?
    A. 1900                                        Answer:
    B. 1901
    Answer:

The first line stands where the source has subjects. Examples come before the question in the same form, each with its
answer. What follows is a blank and a letter, or a blank and the text of a choice. These are the prompts of lm-eval's
`mmlu` and `mmlu_continuation`, byte for byte (version 0.4.13, lm_eval/tasks/mmlu). Where the items are beginnings that
the choices continue (`Wording.beginnings`), a cloze prompt is the beginning itself, as in lm-eval's `hellaswag`.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reprotune.errors import UserError

LETTERS = string.ascii_uppercase

Item = Mapping[str, Any]
"""A row of `ITEMS`."""


class Asked(NamedTuple):
    """A prompt, and for each choice the text that would follow it."""

    prompt: str
    continuations: list[str]


@dataclass(frozen=True)
class Wording:
    """How items of one kind become text: one formulation, for questions or for beginnings."""

    formulation: str
    """`letters` or `cloze`."""
    beginnings: bool

    def asked(self, item: Item, shots: Sequence[Item]) -> Asked:
        """Return the prompt of an item after examples; raises `UserError` where it has more choices than letters."""
        texts = [f"{self._text(shot)} {self.answers(shot)[shot['answer']]}" for shot in shots]
        prompt = self._description(item) + "\n\n".join([*texts, self._text(item)])
        return Asked(prompt, [f" {answer}" for answer in self.answers(item)])

    def answers(self, item: Item) -> list[str]:
        """Return what competes: letters, or the texts of the choices."""
        choices: list[str] = item["choices"]
        if self.formulation == "cloze":
            return choices
        if len(choices) > len(LETTERS):
            raise UserError(
                f"item {item['id']} (row {item['source_row']} of the source) has {len(choices)} choices, but there are "
                f"{len(LETTERS)} letters: remove letters from benchmark.formulations, or the item from the source"
            )
        return list(LETTERS[: len(choices)])

    def _description(self, item: Item) -> str:
        if self.beginnings or item["subject"] == item["task"]:
            return ""
        kind = "multiple choice questions" if self.formulation == "letters" else "questions"
        return f"The following are {kind} (with answers) about {item['subject'].replace('_', ' ')}.\n\n"

    def _text(self, item: Item) -> str:
        """Return an item up to its answer."""
        context, question = (item["context"] or "").strip(), item["question"].strip()
        if self.beginnings:
            question = f"{context} {question}".strip()
        if self.formulation == "cloze":
            if self.beginnings:
                return question
            question = f"Question: {question}"
        if context and not self.beginnings:
            question = f"{context}\n{question}"
        options = ""
        if self.formulation == "letters":
            pairs = zip(self.answers(item), item["choices"], strict=True)
            options = "".join(f"{letter}. {choice}\n" for letter, choice in pairs)
        return f"{question}\n{options}Answer:"

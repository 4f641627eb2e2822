"""From what a person says to the prompt that the model was trained on, byte for byte.

The text comes from the formatter that wrote the training rows: a message is an instruction to a template for
instructions, and a turn to one for chats. An input travels in the message, joined to the instruction as the template
joins the two (`input_joint`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reprotune.dataset.templates.formatter import ChatFormatter, Formatter
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.errors import UserError

ROLES = ("system", "user", "assistant")
UNANSWERED = "."
"""Stands for the answer that is asked for; a template says what comes before an answer only by writing one."""
INSTRUCTION, INPUT = "Instruction of the sample", "Input of the sample"


class Prompt(NamedTuple):
    """What the model reads."""

    text: str
    """As a person reads it."""
    ids: list[int]
    header: str
    """What the template leaves to the model to write before its answer; mostly empty."""


class Prompts:
    """How one model is asked; raises `UserError` for what its template cannot write."""

    def __init__(self, template: str, formatter: Formatter, tokenizer: Tokenizer) -> None:
        """`template` is the name in params.yaml."""
        self.template = template
        self._formatter = formatter
        self._tokenizer = tokenizer

    @property
    def takes_turns(self) -> bool:
        """Whether a conversation can go on after an answer."""
        return isinstance(self._formatter, ChatFormatter)

    @property
    def input_joint(self) -> str | None:
        """What stands between an instruction and its input; None where no message can hold the two."""
        apart = self.of_record(INSTRUCTION, INPUT).text
        begin, end = apart.find(INSTRUCTION) + len(INSTRUCTION), apart.find(INPUT)
        joint = apart[begin:end]
        return joint if begin <= end and self.of_record(INSTRUCTION + joint + INPUT, "").text == apart else None

    def of_record(self, instruction: str, material: str) -> Prompt:
        """Return the prompt of an instruction with its input (empty: it has none)."""
        record = {"id": "asked", "instruction": instruction, "input": material, "category": None, "output": UNANSWERED}
        return self._prompt(self._formatter.records([record])[0])

    def of_messages(self, messages: Sequence[Mapping[str, str]]) -> Prompt:
        """Return the prompt of a conversation, whose last message is the user's."""
        check_roles([message["role"] for message in messages])
        if self.takes_turns:
            answered = [*messages, {"role": "assistant", "content": UNANSWERED}]
            return self._prompt(self._formatter.conversations([{"id": "asked", "messages": answered}])[0])
        if messages[0]["role"] == "system":
            raise UserError(
                f"the model was trained with the template {self.template}, which has no place for a system message: "
                "put it into the user's message"
            )
        if len(messages) > 1:
            raise UserError(
                f"the model was trained with the template {self.template}, which answers single instructions: send "
                "the last message alone"
            )
        return self.of_record(messages[0]["content"], "")

    def _prompt(self, row: Mapping[str, Any]) -> Prompt:
        text = row["prompt"]
        return Prompt(self._tokenizer.escapes.plain(text), self._tokenizer.encode_formatted([text])[0], row["header"])


def check_roles(roles: Sequence[str]) -> None:
    """Raise `UserError` unless a conversation can be answered: user and assistant in turn, after a system message."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    for place, role in enumerate(turns):
        if role not in ROLES:
            raise UserError(f"the role {role!r} is unknown: use system, user or assistant")
        if role != ("user", "assistant")[place % 2]:
            raise UserError(
                "after an optional system message, the messages of a conversation are the user's and the assistant's "
                f"in turn, but message {place + 1 + len(roles) - len(turns)} is of the role {role}"
            )
    if len(turns) % 2 == 0:
        raise UserError("the last message of a conversation should be the user's: add what is to be answered")

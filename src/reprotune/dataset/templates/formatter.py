"""Records and conversations as formatted text: with an instruction template, or with a chat template."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reprotune.dataset.templates.chat import ChatTemplate, Message, load_chat_template
from reprotune.dataset.templates.instructions import BUILT_IN, RESPONSE, Template, load_template, own_text, read_source
from reprotune.dataset.templates.messages import MessageForm, instruction_form
from reprotune.dataset.tokenizers.document import TOKENIZER_CONFIG, TokenizerFiles
from reprotune.errors import UserError

CHAT = "chat"
INPUT_BEFORE = "\n\n"
"""What stands between an instruction and its input in a chat."""


class Formatter(Protocol):
    """Writes rows as the text that the model sees, with the special tokens of one base model."""

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts of the template that a row should not spell."""

    def records(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return a `FORMATTED` row for each `RECORDS` row; raises `UserError` where the template fails on one."""

    def conversations(self, conversations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return a `FORMATTED_TURNS` row for each `CONVERSATIONS` row; raises `UserError` for one it cannot write."""

    def messages(self) -> MessageForm:
        """Return how rows become messages, and the chat template that makes the prompts of them."""


@dataclass(frozen=True)
class InstructionFormatter:
    """Writes an instruction, its input and the answer; of conversations, only plain text."""

    template: Template
    base: TokenizerFiles
    response_header: str

    @property
    def markers(self) -> tuple[str, ...]:
        """See `Formatter`."""
        return self.template.markers

    def records(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `Formatter`."""
        base = self.base
        return self.template.format_all(records, self.response_header, base.escapes, base.beginning_of_text)

    def conversations(self, conversations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `Formatter`."""
        for row in conversations:
            if not is_plain_text(row["messages"]):
                raise UserError(
                    f"{self.template.name}: record {row['id']} is a conversation of {len(row['messages'])} messages, "
                    "but this template writes single instructions: set format.template to chat"
                )
        return [_plain_text(row, self.base) for row in conversations]

    def messages(self) -> MessageForm:
        """See `Formatter`."""
        return instruction_form(self.template, self.base, self.response_header)


@dataclass(frozen=True)
class ChatFormatter:
    """Writes whole conversations; an instruction is a conversation of two messages."""

    template: ChatTemplate
    source: str
    base: TokenizerFiles
    train_on: str
    markers: tuple[str, ...] = ()

    def records(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `Formatter`."""
        rows = [(record["id"], instruction_messages(record)) for record in records]
        return [
            {"id": identifier, "prompt": prompt, "response": response, "header": ""}
            for (identifier, _), (prompt, response) in zip(rows, self.template.turns(rows, "last"), strict=True)
        ]

    def conversations(self, conversations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `Formatter`."""
        chats = [row for row in conversations if not is_plain_text(row["messages"])]
        texts = iter(self.template.turns([(row["id"], row["messages"]) for row in chats], self.train_on))
        return [
            _plain_text(row, self.base) if is_plain_text(row["messages"]) else _turns_row(row["id"], next(texts))
            for row in conversations
        ]

    def messages(self) -> MessageForm:
        """See `Formatter`: the template as it is."""
        return MessageForm(self.source, INPUT_BEFORE)


def load_formatter(template: str, base: TokenizerFiles, response_header: str, train_on: str) -> Formatter:
    """Return what writes rows as the section `format` of params.yaml says; raises `UserError` for a faulty template."""
    if template in BUILT_IN:
        return InstructionFormatter(load_template(template), base, response_header)
    if template == CHAT:
        name, source = f"the chat template in {base.folder / TOKENIZER_CONFIG}", base.chat_template
        if source is None:
            raise UserError(
                f"format.template is chat, but {base.folder / TOKENIZER_CONFIG} has no chat_template: choose a base "
                "model that was made for chats, alpaca, or the path of your own .jinja file"
            )
    else:
        if not is_chat_file(template):
            return InstructionFormatter(load_template(template), base, response_header)
        name, source = template, read_source(template)
    if response_header != "in_prompt":
        raise UserError(
            "format.response_header is in_response, but a chat template says itself what comes before an answer: set "
            "it to in_prompt"
        )
    return ChatFormatter(load_chat_template(name, source, base.named, base.escapes), source, base, train_on)


def is_chat_file(template: str) -> bool:
    """Tell whether the file of a template is written for `messages`; one for instructions ends with the response."""
    if not template.endswith(".jinja"):
        return False
    source = read_source(template)
    return "messages" in source and RESPONSE.search(source) is None


def instruction_messages(record: Mapping[str, Any]) -> list[Message]:
    """Return an instruction record as a conversation: the input follows the instruction after a blank line."""
    asked = f"{record['instruction']}{INPUT_BEFORE}{record['input']}" if record["input"] else record["instruction"]
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": record["output"]}]


def is_plain_text(messages: Sequence[Message]) -> bool:
    """Tell whether a conversation is no more than one text, all of which is learned."""
    return [message["role"] for message in messages] == ["assistant"]


def count_special(rows: Iterable[Mapping[str, Any]], base: TokenizerFiles) -> dict[str, int]:
    """Return in how many rows their own text spells a special token of the base model, for each that is spelled."""
    counts: dict[str, int] = {}
    for row in rows:
        for token in base.escapes.spelled(own_text(row)):
            counts[token] = counts.get(token, 0) + 1
    return counts


def _plain_text(row: Mapping[str, Any], base: TokenizerFiles) -> dict[str, Any]:
    start = base.beginning_of_text or base.end_of_text
    return _turns_row(row["id"], [start, base.escapes.escaped(row["messages"][0]["content"])])


def _turns_row(identifier: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return a `FORMATTED_TURNS` row; every other text is learned, the last one too."""
    turns = [{"text": text, "trained": place % 2 == 1} for place, text in enumerate(texts)]
    return {"id": identifier, "prompt": "".join(texts[:-1]), "response": texts[-1], "header": "", "turns": turns}

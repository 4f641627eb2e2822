"""Does a GGUF file do what was trained? The same test rows through llama.cpp and through our own decoder.

Three things are compared: the prompt that the file's template makes of messages, the ids that llama.cpp reads for it,
and the greedy answer. The first two are exact or wrong; answers may differ where numbers are rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprotune.dataset.templates.chat import Message
from reprotune.dataset.templates.formatter import is_plain_text
from reprotune.dataset.templates.messages import MessageForm
from reprotune.dataset.tokenizers.encoding import Tokenizer
from reprotune.dataset.tokenizers.escapes import ESCAPE
from reprotune.export.llama_cpp import LlamaCpp
from reprotune.generation.decoding import DecodingSettings, generate
from reprotune.model.network import Network

ROWS = 20
MOST_TOKENS = 64
"""Longest answer that is compared, so that the check of a large model takes minutes and not hours."""


@dataclass(frozen=True)
class Asked:
    """A test row as messages, and as the prompt that was trained."""

    id: str
    messages: Sequence[Message]
    prompt: str
    ids: list[int]


def asked_rows(
    records: Sequence[Mapping[str, Any]],
    formatted: Sequence[Mapping[str, Any]],
    form: MessageForm,
    tokenizer: Tokenizer,
    context: int,
) -> list[Asked]:
    """Return the first test rows that can be asked through messages, at most `ROWS`.

    Left out are plain texts, prompts that leave no room for an answer, and rows that spell a special token: other
    programs take it for one.
    """
    rows = []
    for record, row in zip(records, formatted, strict=True):
        if ESCAPE in row["prompt"] or ("messages" in record and is_plain_text(record["messages"])):
            continue
        [ids] = tokenizer.encode_formatted([row["prompt"]])
        if len(ids) < context:
            rows.append(Asked(row["id"], _messages(record, form), row["prompt"], ids))
        if len(rows) == ROWS:
            break
    return rows


def our_answers(model: Network, rows: Sequence[Asked], tokenizer: Tokenizer, most_tokens: int) -> list[str]:
    """Return our decoder's greedy answers."""
    settings = DecodingSettings(min(most_tokens, MOST_TOKENS), ROWS, tokenizer.end_of_text)
    answers = generate(model, [row.ids for row in rows], settings, [row.id for row in rows])
    return [tokenizer.decode(answer.token_ids).strip() for answer in answers]


def compared(
    rows: Sequence[Asked], answers: Sequence[str], server: LlamaCpp, beginning: str, most_tokens: int
) -> dict[str, float]:
    """Return the shares of rows with the same prompt, ids and answer; `beginning` is the token that texts begin with.

    llama.cpp leaves that token out of the prompt's text, and puts it before the ids.
    """
    same = {"same_prompts": 0, "same_ids": 0, "same_answers": 0}
    for row, answer in zip(rows, answers, strict=True):
        prompt = server.prompt(row.messages)
        same["same_prompts"] += prompt == row.prompt.removeprefix(beginning)
        same["same_ids"] += server.ids(prompt) == row.ids
        same["same_answers"] += server.answer(row.messages, min(most_tokens, MOST_TOKENS)).strip() == answer
    return {name: count / len(rows) for name, count in same.items()}


def _messages(record: Mapping[str, Any], form: MessageForm) -> list[Message]:
    if "messages" in record:
        return list(record["messages"][:-1])
    return [{"role": "user", "content": form.content(record)}]

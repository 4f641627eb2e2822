"""What the judge is asked: rubrics (Jinja files in `rubrics/`) filled in with one answer, or with two to compare.

The rubrics `reference` and `pairwise`, and one of your own, treat the texts as untrusted: whatever in them looks like a
marker line or like a control token of a chat template is broken up, and each stands between marker lines with a key
that it cannot know (in your own rubric, write those with the field `fence`). The rubric `chapter` is the book chapter's
prompt exactly as published, without any such guard.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jinja2

from reprotune.errors import UserError
from reprotune.sandbox import (
    BoundedEnvironment,
    bounded,
    compiled,
    fault_words,
    read_template,
    rendered,
    undeclared_names,
)

RUBRICS = Path(__file__).with_name("rubrics")

VERDICT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["reasoning", "score"],
    "additionalProperties": False,
}
"""JSON schema of a verdict; servers keep the order of properties, so the reasoning comes before the score."""

WINNER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "winner": {"type": "string", "enum": ["A", "B", "tie"]}},
    "required": ["reasoning", "winner"],
    "additionalProperties": False,
}
"""JSON schema of a verdict on two answers."""

STRUCTURE = re.compile(
    r"={3,}(?=\s*(?:BEGIN|END)\b)"  # our own marker lines
    # control tokens of chat models: ChatML, Llama, Phi, gpt-oss, ...; DeepSeek (full-width bars)
    r"|<\|[^|>\n]{1,40}\|>|<\uff5c[^\uff5c>\n]{1,40}\uff5c>"
    # Llama 2, Mistral
    r"|</?s>|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|MODEL_SETTINGS)\]"
    # Gemma, Qwen and other models with thoughts and tools, GLM
    r"|</?(?:start|end)_of_turn>|<(?:bos|eos)>|</?(?:think|tools?|tool_(?:call|response))>|\[/?THINK\]|\[gMASK\]|<[se]op>",
    re.IGNORECASE,
)

Message = dict[str, str]
"""One turn of a chat: `role` (`user` or `assistant`) and `content`."""


class Item(NamedTuple):
    """One answer to be judged."""

    instruction: str
    input: str
    reference: str
    response: str


class Pair(NamedTuple):
    """Two answers to one instruction, in the order in which the judge is to see them."""

    instruction: str
    input: str
    reference: str
    first: str
    second: str


class Question(NamedTuple):
    """What is sent to the judge for one answer or one pair."""

    messages: tuple[Message, ...]
    schema: dict[str, Any] | None
    """JSON schema of the reply, for servers that can enforce it; null for free text."""
    repair: str
    """The request that follows, once, if the reply cannot be read."""
    asks_for: Literal["score", "winner"] = "score"
    """The field of the reply that contains the verdict."""

    def after(self, reply: str) -> "Question":
        """Return the question to ask if `reply` could not be read: the whole exchange and the repair request."""
        turns: tuple[Message, ...] = (
            {"role": "assistant", "content": reply or "(empty)"},
            {"role": "user", "content": self.repair},
        )
        return self._replace(messages=self.messages + turns)


def question(rubric: str, item: Item) -> Question:
    """Render the prompt of `rubric` (`chapter`, `reference` or a file) for one answer, as a single user message.

    There is no system message, because some chat templates refuse the system role.
    """
    if rubric == "chapter":
        text = _template(rubric).render(item._asdict())
        return Question(_user(text), None, "Respond with the integer number only.")
    guarded = {name: neutralised(value) for name, value in item._asdict().items()}
    template = _template(rubric)
    try:
        with bounded():
            text = rendered(lambda: template.render(guarded, fence=fence(item)))
    except Exception as error:  # a user's rubric may do anything that the sandbox lets it
        raise UserError(
            f"{rubric} cannot be filled in ({fault_words(error)}): correct the rubric that judge.rubric names"
        ) from error
    repair = 'That reply could not be read. Reply again with only the JSON object {"reasoning": "...", "score": ...}.'
    return Question(_user(text), VERDICT_SCHEMA, repair)


def rubric_sha256(rubric: str) -> str:
    """Return the SHA-256 of everything that a rubric contributes to a question: text, schema and repair request."""
    asked = question(rubric, Item("", "", "", ""))
    content = [_source(rubric), asked.schema, asked.repair]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def pair_question(pair: Pair) -> Question:
    """Render the prompt that asks which of two answers is better; it is the same for every `rubric`."""
    guarded = {name: neutralised(value) for name, value in pair._asdict().items()}
    text = _template("pairwise").render(guarded, fence=fence(pair))
    repair = 'That reply could not be read. Reply again with only the JSON object {"reasoning": "...", "winner": ...}.'
    return Question(_user(text), WINNER_SCHEMA, repair, "winner")


def fence(item: Item | Pair) -> str:
    """Return the key of the marker lines: a hash of the item, which no text can contain but equal items share."""
    return hashlib.sha256(json.dumps(item).encode()).hexdigest()[:16]


def neutralised(text: str) -> str:
    """Break up whatever could pass for the prompt's structure, by putting blanks between its characters."""
    return STRUCTURE.sub(lambda match: " ".join(match[0]), text)


def _user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


@cache
def _template(rubric: str) -> jinja2.Template:
    environment = BoundedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    source = _source(rubric)
    try:
        template, tree = compiled(environment, source)
        fields = undeclared_names(tree)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{rubric} line {error.lineno} is not valid Jinja: {error.message}") from error
    except Exception as error:  # of Jinja's parser or Python's, on what is nested too deep
        raise UserError(
            f"{rubric} cannot be used ({fault_words(error)}): correct the rubric that judge.rubric names"
        ) from error
    if rubric.endswith(".jinja") and "response" not in fields:
        raise UserError(f"{rubric} never shows the answer to the judge: put {{{{ response }}}} into the rubric")
    return template


def _source(rubric: str) -> str:
    path = Path(rubric).expanduser() if rubric.endswith(".jinja") else RUBRICS / f"{rubric}.jinja"
    return read_template(path, "correct the path or the file that judge.rubric names")

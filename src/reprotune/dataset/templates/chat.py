"""Chat templates: how a conversation becomes text, of which the model learns the assistant's turns.

A chat template is Jinja over `messages`, each with a `role` and a `content`. It is rendered as transformers does,
within the bounds of the sandbox. What the model learns is found by rendering: the text of a conversation up to an
answer, with what invites it, has to be the beginning of the text with the answer, and the rest is the turn.

    messages    user: Hi   assistant: Hello   user: Bye   assistant: See you
    prompt 1    <user>Hi<assistant>
    through 1   <user>Hi<assistant>Hello<end>
    prompt 2    <user>Hi<assistant>Hello<end><user>Bye<assistant>
    whole       <user>Hi<assistant>Hello<end><user>Bye<assistant>See you<end>
    learned                        ~~~~~~~~~~                     ~~~~~~~~~~~~
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Never

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import SecurityError
from jinja2.utils import Namespace

from reprotune.dataset.tokenizers.escapes import Escapes
from reprotune.errors import UserError
from reprotune.sandbox import BoundedEnvironment, bounded, compiled, fault_words, rendered, undeclared_names

ROWS_PER_BOUND = 256
"""Conversations that share the time of one `bounded` block."""

Message = Mapping[str, str]


class Generation(Extension):
    """Accepts `{% generation %}`, by which some templates mark the assistant's text; here it marks nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """Return what stands between the tags, with its variables to itself."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class PublicNamespace(Namespace):
    """Jinja's `namespace`, which takes no name with an underscore before it: those are Python's internals."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace takes no name such as {name!r}")
        super().__setitem__(name, value)


def _refuse(message: object) -> Never:
    raise jinja2.TemplateError(str(message))


def _json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENVIRONMENT = BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
ENVIRONMENT.filters["tojson"] = _json
ENVIRONMENT.globals |= {"raise_exception": _refuse, "namespace": PublicNamespace}
# Nothing random, and no date: the same rows always give the same text.
del ENVIRONMENT.filters["random"], ENVIRONMENT.globals["lipsum"]


class _TurnError(Exception):
    """The text up to a message of a conversation, counted from 1, is not the beginning of the text of the whole."""

    def __init__(self, message: int) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class ChatTemplate:
    """A checked chat template; `named` are the special tokens that it may write by name, such as `eos_token`."""

    name: str
    template: jinja2.Template
    named: Mapping[str, str]
    escapes: Escapes

    def turns(self, rows: Sequence[tuple[str, Sequence[Message]]], train_on: str) -> list[list[str]]:
        """Return the texts of each conversation, given with its id: read and learned ones in turn, a read one first.

        With `train_on: last` there are two, what comes before the last answer and that answer; with `all`, two for each
        answer. Raises `UserError` naming the row where the template fails on it, or where the texts of a conversation's
        beginnings are not the beginnings of its text.
        """
        found, identifier = [], ""
        try:
            for start in range(0, len(rows), ROWS_PER_BOUND):
                with bounded():
                    for row in rows[start : start + ROWS_PER_BOUND]:
                        identifier, messages = row
                        found.append(self._row(messages, train_on))
        except _TurnError as error:
            raise UserError(
                f"{self.name}: record {identifier}: what the template writes up to message {error.message} is not how "
                "it begins the whole conversation, so it is unclear what the model should learn: "
                + ("set format.train_on to last, or " if train_on == "all" else "")
                + "correct the template"
            ) from error
        except Exception as error:  # a template may do anything that the sandbox lets it
            raise UserError(
                f"{self.name}: fails on record {identifier}: {_words(error)}: correct the template or the record"
            ) from error
        return found

    def _row(self, messages: Sequence[Message], train_on: str) -> list[str]:
        return self.escapes.written(
            [message["content"] for message in messages],
            lambda escape: self._cut(
                [{"role": message["role"], "content": escape(message["content"])} for message in messages], train_on
            ),
        )

    def _cut(self, messages: Sequence[Message], train_on: str) -> list[str]:
        last = len(messages) - 1
        answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        whole = self.render(messages)
        cuts = [0]
        for place in answers if train_on == "all" else [last]:
            prompt = self.render(messages[:place], invites=True)
            through = whole if place == last else self.render(messages[: place + 1])
            if not (through.startswith(prompt) and whole.startswith(through) and len(prompt) >= cuts[-1]):
                raise _TurnError(place + 1)
            cuts += [len(prompt), len(through)]
        return [whole[start:end] for start, end in pairwise(cuts)]

    def render(self, messages: Sequence[Message], invites: bool = False) -> str:
        """Return the text of a conversation; with `invites`, and of what makes the assistant answer."""
        return rendered(
            lambda: self.template.render(
                **self.named, messages=messages, tools=None, documents=None, add_generation_prompt=invites
            )
        )


def load_chat_template(name: str, source: str, named: Mapping[str, str], escapes: Escapes) -> ChatTemplate:
    """Check the source of a chat template, called `name` in messages; raises `UserError` where it cannot be one."""
    try:
        template, tree = compiled(ENVIRONMENT, source)
        names = undeclared_names(tree)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{name}: line {error.lineno}: {error.message}") from error
    except Exception as error:  # of Jinja's parser or Python's, on what is nested too deep
        raise UserError(f"{name}: {fault_words(error)}: correct the template") from error
    if "messages" not in names:
        raise UserError(f"{name}: a chat template goes through `messages`, and this one does not: correct the template")
    checked = ChatTemplate(name, template, named, escapes)
    _try_out(checked)
    return checked


def _try_out(template: ChatTemplate) -> None:
    """Raise `UserError` unless a plain conversation can be rendered and each of its messages makes a difference."""
    roles = ("user", "assistant", "user", "assistant")
    for count in (2, 4):
        sample = [{"role": role, "content": f"text {place}"} for place, role in enumerate(roles[:count])]
        try:
            with bounded():
                whole = template.render(sample)
                changed = [
                    template.render([*sample[:place], {**message, "content": "other"}, *sample[place + 1 :]])
                    for place, message in enumerate(sample)
                ]
        except Exception as error:  # a template may do anything that the sandbox lets it
            if count > 2:  # it may be one for a single question, and says so of the rows that have more
                return
            raise UserError(f"{template.name}: {_words(error)}: correct the template") from error
        if whole in changed:
            raise UserError(
                f"{template.name}: leaves out message {changed.index(whole) + 1} of a conversation of {count}: a chat "
                "template goes through all `messages` in a loop"
            )


def _words(error: Exception) -> str:
    if isinstance(error, jinja2.UndefinedError) and "'strftime_now'" in str(error):
        return "it asks for the date of today (strftime_now), but the same rows should always give the same text"
    return fault_words(error)

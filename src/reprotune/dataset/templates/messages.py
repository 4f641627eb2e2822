"""Chat templates for instruction templates: by them other programs write the prompt that was trained.

An instruction and its input travel in one message of the user, as the template writes them one after the other. In
Alpaca's prompt that is what stands between the bars here:

    Below is an instruction that describes a task. ...

    ### Instruction:
    |Rewrite in the passive voice.

    ### Input:
    The chef cooks.|

    ### Response:

The chat template writes the rest. So the message of an instruction without an input is that instruction as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprotune.dataset.templates.instructions import Template
from reprotune.dataset.tokenizers.document import TokenizerFiles
from reprotune.errors import UserError
from reprotune.files import read_json, read_text

CHAT_TEMPLATE = "chat_template.jinja"
MESSAGES = "messages.json"
REMEDY = "run `dvc repro format` (or `dvc pull`) to make it"

INSTRUCTION, INPUT = "Name 3 words", "red & blue"
PROBES = (" two\n\nlines ", '"It\'s" <b>{{ 1 }}</b>', "ÜBUNG 你好", "a word " * 400, "12")
"""Texts on which a template shows itself that looks at what it writes."""


@dataclass(frozen=True)
class MessageForm:
    """How rows become messages, and the chat template that makes the trained prompt of them."""

    source: str
    """The chat template; where there can be none, one that says why whenever it is used."""
    input_before: str | None = None
    """What stands between an instruction and its input in the user's message; None where inputs are not told."""
    input_after: str = ""
    around: tuple[str, str] | None = None
    """What an instruction's prompt has before and after the user's message; None where a chat template of the base
    model, or of a user, was trained as it is."""
    refused: str | None = None
    """Why there can be no chat template, in a sentence; None where there is one."""

    def content(self, record: Mapping[str, Any]) -> str:
        """Return the user's message for an instruction record."""
        if not record["input"] or self.input_before is None:
            return str(record["instruction"])
        return f"{record['instruction']}{self.input_before}{record['input']}{self.input_after}"

    def unlike(self, records: Sequence[Mapping[str, Any]], prompts: Sequence[str]) -> str | None:
        """Return the id of the first instruction record whose prompt is not what its message becomes; None: of none."""
        if self.around is None or self.refused:
            return None
        before, after = self.around
        for record, prompt in zip(records, prompts, strict=True):
            if prompt != f"{before}{self.content(record)}{after}":
                return str(record["id"])
        return None

    def document(self) -> dict[str, str | None]:
        """Return what messages.json tells of it."""
        return {"input_before": self.input_before, "input_after": self.input_after, "refused": self.refused}


def read_form(folder: Path) -> MessageForm:
    """Read what the stage `format` wrote of it; raises `UserError` where that is missing or damaged."""
    document = read_json(folder / MESSAGES, REMEDY)
    kinds = {"input_before": (str, type(None)), "input_after": (str,), "refused": (str, type(None))}
    for key, kind in kinds.items():
        if not isinstance(document, dict) or not isinstance(document.get(key, 0), kind):
            raise UserError(f"{folder / MESSAGES} has no usable {key}: {REMEDY}")
    source = read_text(folder / CHAT_TEMPLATE, REMEDY)
    return MessageForm(source, document["input_before"], document["input_after"], refused=document["refused"])


def refused_form(why: str) -> MessageForm:
    """Return the form of prompts that no message becomes, with a sentence that says why."""
    return MessageForm(f"{{{{- raise_exception({_literal(why)}) -}}}}\n", refused=why)


def instruction_form(template: Template, base: TokenizerFiles, response_header: str) -> MessageForm:
    """Return how messages become the prompts of an instruction template, if they can."""

    def prompt(instruction: str, extra: str) -> str:
        record = {"id": "probe", "instruction": instruction, "input": extra, "output": "", "category": None}
        return str(template.format_all([record], response_header, beginning=base.beginning_of_text)[0]["prompt"])

    try:
        plain, full = prompt(INSTRUCTION, ""), prompt(INSTRUCTION, INPUT)
        before, _, after = plain.partition(INSTRUCTION)
        inner = full.removeprefix(before + INSTRUCTION).removesuffix(after)
        input_before, found, input_after = inner.partition(INPUT)
        source = _source(template, base, before, after, response_header)
        form = MessageForm(source, input_before if found else None, input_after, (before, after))
        probes = [(text, other) for text in (INSTRUCTION, *PROBES) for other in ("", INPUT, *PROBES)]
        records = [{"id": "", "instruction": text, "input": other} for text, other in probes]
        agrees = form.unlike(records, [prompt(text, other) for text, other in probes]) is None
    except UserError:  # the template fails on a probe, as it may on the message of a user
        agrees = False
    if agrees:
        return form
    return refused_form(
        f"the template {template.name} writes more of an instruction than a beginning, the instruction, its input and "
        "an end, so no message becomes its prompt: send the whole prompt as a text"
    )


def _source(template: Template, base: TokenizerFiles, before: str, after: str, response_header: str) -> str:
    """Return the chat template; the response header belongs to the answer, with what invites it or as its beginning."""
    beginning, end = base.beginning_of_text, base.end_of_text
    invites, learned = ("", template.header) if response_header == "in_response" else (template.header, "")
    user = _between(before.removeprefix(beginning), after.removesuffix(invites))
    answer = _between(learned, end)
    only = (
        "the model was trained on instructions and answers alone: put what a message of another role says into the "
        "user's"
    )
    return "\n".join(
        [
            *([f"{{{{- {_literal(beginning)} -}}}}"] if beginning else []),
            "{%- for message in messages -%}",
            "{%- if message.role == 'user' -%}",
            f"{{{{- {user} -}}}}",
            "{%- elif message.role == 'assistant' -%}",
            *([f"{{{{- {_literal(invites)} -}}}}"] if invites else []),
            f"{{%- generation -%}}{{{{- {answer} -}}}}{{%- endgeneration -%}}",
            "{%- else -%}",
            f"{{{{- raise_exception({_literal(only)}) -}}}}",
            "{%- endif -%}",
            "{%- endfor -%}",
            *([f"{{%- if add_generation_prompt -%}}{{{{- {_literal(invites)} -}}}}{{%- endif -%}}"] if invites else []),
            "",
        ]
    )


def _between(before: str, after: str) -> str:
    """Return the expression for a message's text between two others."""
    return " + ".join(
        [*([_literal(before)] if before else []), "message.content", *([_literal(after)] if after else [])]
    )


def _literal(text: str) -> str:
    """Return a text as Jinja spells it within a tag."""
    return json.dumps(text, ensure_ascii=False)

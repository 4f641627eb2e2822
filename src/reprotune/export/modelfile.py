"""Ollama's Modelfile: the trained prompt as a template of Go, and how the model is decoded.

Ollama would otherwise guess a template by its likeness to known ones. What a chat template writes around the messages
is found by rendering it:

    user                         first A                   (invites) R
    user, assistant, user        first A (invites) R next B (invites) R
    system, user                 system S after_system A   (invites) R
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from reprotune.dataset.templates.chat import ChatTemplate, Message
from reprotune.sandbox import bounded

A, B, R, S = "Name 3 words", "or four", "red, blue", "Be brief"
PROBES = (
    (("user", 'Two\n\nlines "and" <b>'),),
    (("user", "ÜBUNG 你好"), ("assistant", "12"), ("user", B), ("assistant", R), ("user", A)),
)
"""Conversations on which a template shows itself that does more than to stand around messages."""
FRACTURED = ("{{", "}}", '"""')
"""What text of a template cannot hold in a Modelfile; such a text is written as a string of Go."""


@dataclass(frozen=True)
class Turns:
    """What a chat template writes before the messages of a conversation, by their roles and places."""

    first: str
    """Before a user's message that begins a conversation."""
    invites: str
    """Before an answer."""
    later: str
    """Before a user's message that follows an answer, the end of that answer included."""
    system: tuple[str, str] | None
    """Before the system's message and before the user's message after it; None where none is accepted."""
    trims: bool = False
    """Whether it takes away white space around a message, which Ollama's templates cannot."""

    def rendered(self, messages: Sequence[Message]) -> str:
        """Return the prompt for a conversation that ends with the user's turn; as Ollama does, by `go_template`."""
        text = ""
        for place, message in enumerate(messages):
            before = self.later if place > 1 else self.first
            if message["role"] == "assistant":
                before = self.invites
            elif message["role"] == "system":
                before = self.system[0] if self.system else ""
            elif place == 1 and self.system:
                before = self.system[1]
            text += before + message["content"]
        return text + self.invites

    def go_template(self) -> str:
        """Return the template for Ollama, which hands over `.Messages`."""
        user = f"{{{{ if eq $i 0 }}}}{_text(self.first)}{{{{ else }}}}{_text(self.later)}{{{{ end }}}}"
        system = ""
        if self.system:
            user = (
                f"{{{{ if eq $i 0 }}}}{_text(self.first)}{{{{ else if eq $i 1 }}}}{_text(self.system[1])}"
                f"{{{{ else }}}}{_text(self.later)}{{{{ end }}}}"
            )
            system = f'{{{{ else if eq $m.Role "system" }}}}{_text(self.system[0])}{{{{ $m.Content }}}}'
        return (
            f'{{{{ range $i, $m := .Messages }}}}{{{{ if eq $m.Role "user" }}}}{user}{{{{ $m.Content }}}}'
            f'{{{{ else if eq $m.Role "assistant" }}}}{_text(self.invites)}{{{{ $m.Content }}}}{system}{{{{ end }}}}'
            f"{{{{ end }}}}{_text(self.invites)}"
        )


def turns_of(template: ChatTemplate, beginning: str) -> Turns | None:
    """Return what a chat template writes around messages; None where it does more than that.

    `beginning` is the token that llama.cpp itself puts before a prompt, so it is left out.
    """
    try:
        with bounded():
            return _turns_of(template, beginning)
    except Exception:  # a template may do anything that the sandbox lets it
        return None


def modelfile(
    weights: str, turns: Turns | None, ends: Sequence[str], context: int, most_tokens: int, refused: str | None = None
) -> str:
    """Return a Modelfile for a GGUF file beside it; `ends` are the tokens that end an answer.

    Where the prompts of the training are `refused` as messages, it takes whole prompts.
    """
    lines = ["# ollama create NAME -f Modelfile", f"FROM ./{weights}"]
    if refused is not None:
        lines += [f"# Send whole prompts: {refused}", "TEMPLATE {{ .Prompt }}"]
    elif turns is None:
        lines.append("# Without a TEMPLATE here, the chat template in the GGUF file counts.")
    else:
        if turns.system is None:
            lines.append("# Trained without system messages, which are left out of the prompt.")
        if turns.trims:
            lines.append("# White space around a message was taken away in training; here it stays.")
        lines.append(f'TEMPLATE """{turns.go_template()}"""')
    lines += [f"PARAMETER stop {json.dumps(end, ensure_ascii=False)}" for end in ends]
    lines += [
        f"PARAMETER num_ctx {context}",
        f"PARAMETER num_predict {most_tokens}",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
    ]
    return "\n".join(lines) + "\n"


def _turns_of(template: ChatTemplate, beginning: str) -> Turns | None:
    def render(*messages: tuple[str, str]) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        return template.render(chat, invites=True).removeprefix(beginning)

    first, _, invites = render(("user", A)).partition(A)
    two = render(("user", A), ("assistant", R), ("user", B))
    later = two.removeprefix(f"{first}{A}{invites}{R}").removesuffix(f"{B}{invites}")
    trims = render(("user", f" {A}\n")) == f"{first}{A}{invites}"
    turns = Turns(first, invites, later, _system(template, beginning, invites), trims)
    edges = () if trims else ((("user", f" {A}\n"),),)
    probes = [*PROBES, *edges, *([(("system", S), *PROBES[1])] if turns.system else [])]
    for probe in probes:
        if turns.rendered([{"role": role, "content": content} for role, content in probe]) != render(*probe):
            return None
    return turns


def _system(template: ChatTemplate, beginning: str, invites: str) -> tuple[str, str] | None:
    try:
        text = template.render(
            [{"role": "system", "content": S}, {"role": "user", "content": A}], invites=True
        ).removeprefix(beginning)
    except Exception:  # it has no place for such a message
        return None
    before, found, rest = text.partition(S)
    return (before, rest.removesuffix(A + invites)) if found else None


def _text(text: str) -> str:
    """Return a text as it stands in a template of Go."""
    if any(mark in text for mark in FRACTURED) or text.startswith('"') or text.endswith('"'):
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
    return text

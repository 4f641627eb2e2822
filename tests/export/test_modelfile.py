"""The Modelfile: what Ollama would send is the trained prompt, and it decodes as the model was measured."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reprotune.dataset.templates.chat import Message, load_chat_template
from reprotune.dataset.templates.formatter import load_formatter
from reprotune.dataset.templates.messages import CHAT_TEMPLATE
from reprotune.dataset.tokenizers.document import read_tokenizer_files
from reprotune.export.modelfile import Turns, modelfile, turns_of
from tests.export.conftest import RECORDS, Ready


@dataclass
class Ollama:
    """As much of Go's templates as the Modelfile uses, interpreted on its own: literals, range, if, eq, fields."""

    template: str

    def prompt(self, messages: Sequence[Message]) -> str:
        tag = r"(\{\{ (?:\"(?:[^\"\\]|\\.)*\"|[^{}]+?) \}\})"
        self.tokens = [token for token in re.split(tag, self.template) if token]
        nodes, end = self.parse(0)
        assert end == len(self.tokens)
        return self.run(nodes, messages, 0, {})

    def parse(self, at: int) -> tuple[list[Any], int]:
        """Parse up to the `else` or `end` that closes this list."""
        nodes: list[Any] = []
        while at < len(self.tokens):
            token = self.tokens[at]
            inner = token[2:-2].strip() if token.startswith("{{ ") and token.endswith(" }}") else None
            if inner is None or inner.startswith('"'):
                nodes.append(("text", token if inner is None else json.loads(inner)))
            elif inner == "end" or inner.startswith("else"):
                return nodes, at
            elif inner.startswith("range"):
                body, at = self.parse(at + 1)
                nodes.append(("range", body))
            elif inner.startswith("if "):
                branches = []
                condition = inner.removeprefix("if ")
                while True:
                    body, at = self.parse(at + 1)
                    branches.append((condition, body))
                    closing = self.tokens[at][2:-2].strip()
                    if closing == "end":
                        break
                    condition = closing.removeprefix("else").strip().removeprefix("if ")
                nodes.append(("if", branches))
            else:
                nodes.append(("field", inner))
            at += 1
        return nodes, at

    def run(self, nodes: list[Any], messages: Sequence[Message], place: int, message: Message) -> str:
        text = ""
        for kind, value in nodes:
            if kind == "text":
                text += value
            elif kind == "range":
                text += "".join(self.run(value, messages, number, one) for number, one in enumerate(messages))
            elif kind == "field":
                assert value == "$m.Content"
                text += message["content"]
            else:
                for condition, body in value:
                    if self.holds(condition, place, message):
                        text += self.run(body, messages, place, message)
                        break
        return text

    def holds(self, condition: str, place: int, message: Message) -> bool:
        if not condition:
            return True
        what, left, right = condition.split(" ", 2)
        assert what == "eq"
        return (place == int(right)) if left == "$i" else (message["role"] == json.loads(right))


def sent(text: str, messages: Sequence[Message]) -> str:
    found = re.search(r'^TEMPLATE """(.*?)"""$', text, re.DOTALL | re.MULTILINE)
    assert found, text
    return Ollama(found[1]).prompt(messages)


def chat(*contents: str, system: str | None = None) -> list[Message]:
    roles = ("user", "assistant")
    said = [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]
    return said if system is None else [{"role": "system", "content": system}, *said]


CHATS = [("gpt2", "alpaca"), ("gpt2", "phi3"), ("llama", "alpaca"), ("qwen2", "chat"), ("llama", "chat")]


@pytest.mark.parametrize(("kind", "template"), CHATS)
def test_ollama_sends_the_trained_prompt(kind: str, template: str, prepared: Callable[..., Ready]) -> None:
    ready = prepared(kind, template, trained=False)
    exported, beginning = ready.exported, ready.exported.files.beginning_of_text
    text = modelfile("model.gguf", exported.turns(), exported.ends, 256, 24)
    trims = kind == "llama" and template == "chat"
    assert trims == ("# White space around a message was taken away" in text)
    for row in ready.rows:
        if trims and row.messages[0]["content"] != row.messages[0]["content"].strip():
            continue
        assert beginning + sent(text, row.messages) == row.prompt
    ours = load_chat_template(CHAT_TEMPLATE, exported.form.source, exported.files.named, exported.files.escapes)
    several = chat("Add.", "Four", "And then?", "Five", "Enough!")
    assert beginning + sent(text, several) == ours.render(several, invites=True)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_a_system_message_where_the_template_has_a_place(kind: str, prepared: Callable[..., Ready]) -> None:
    exported = prepared(kind, "chat", trained=False).exported
    ours = load_chat_template(CHAT_TEMPLATE, exported.form.source, exported.files.named, exported.files.escapes)
    asked = chat("Add.", "Four", "And then?", system="Be brief")
    text = modelfile("model.gguf", exported.turns(), exported.ends, 256, 24)
    assert exported.files.beginning_of_text + sent(text, asked) == ours.render(asked, invites=True)


def test_what_it_says_of_decoding(prepared: Callable[..., Ready]) -> None:
    exported = prepared("gpt2", "alpaca", trained=False).exported
    lines = modelfile("model-q8_0.gguf", exported.turns(), exported.ends, 256, 24).splitlines()
    assert "FROM ./model-q8_0.gguf" in lines
    assert "# Trained without system messages, which are left out of the prompt." in lines
    assert lines[-5:] == [
        'PARAMETER stop "<|endoftext|>"',
        "PARAMETER num_ctx 256",
        "PARAMETER num_predict 24",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
    ]


@pytest.mark.parametrize("text", ['say "', "{{ .System }}", 'three """ quotes', '"', "\\n stays"])
def test_texts_that_go_or_the_modelfile_would_read(text: str) -> None:
    turns = Turns(f"{text}A:", f"{text}\nB:", f"\n{text}", None)
    written = modelfile("model.gguf", turns, [], 8, 8)
    assert sent(written, chat("one", "two", "three")) == turns.rendered(chat("one", "two", "three"))


def test_a_template_that_does_more_has_no_translation(gpt2_folder: Any, tmp_path: Any) -> None:
    source = "{% for m in messages %}{{ m.role }}: {{ m.content|upper }}\n{% endfor %}"
    files = read_tokenizer_files(gpt2_folder)
    assert turns_of(load_chat_template("own", source, files.named, files.escapes), "") is None
    assert "TEMPLATE" not in modelfile("model.gguf", None, [], 8, 8).replace("a TEMPLATE here", "")
    (tmp_path / "own.jinja").write_text("{{ instruction|upper }}\n{{ response }}")
    form = load_formatter(str(tmp_path / "own.jinja"), files, "in_prompt", "all").messages()
    text = modelfile("model.gguf", None, [], 8, 8, form.refused)
    assert "TEMPLATE {{ .Prompt }}" in text.splitlines()
    assert "# Send whole prompts: the template" in text


def test_every_record_is_asked(prepared: Callable[..., Ready]) -> None:
    assert len(prepared("gpt2", "alpaca", trained=False).rows) == len(RECORDS)

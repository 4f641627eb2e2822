"""Templates: how a record becomes a prompt and a response.

A template is the whole training text in Jinja syntax, over the fields `instruction`, `input` and `category` (empty
text where a record has none). It ends with `{{ response }}`; the plain text between the mark `{# header #}` and that
is the response header. This is a complete template file:

    Question: {{ instruction }}
    {% if input %}Context: {{ input }}
    {% endif %}{# header #}
    Answer: {{ response }}

Every character counts, including line breaks; only white space after `{{ response }}` does not. Without the mark the
header is empty. A template runs in a sandbox, and a record's text is only ever a value in it: braces and tags in the
text stay text.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes

from reprotune.dataset.tokenizers.escapes import NO_ESCAPES, Escapes
from reprotune.errors import UserError
from reprotune.sandbox import BoundedEnvironment, bounded, compiled, fault_words, read_template, rendered

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n{{ instruction }}"
    "{% if input %}\n\n### Input:\n{{ input }}{% endif %}"
    "{# header #}\n\n### Response:\n{{ response }}"
)
PHI3 = "<|user|>\n{{ instruction }}{% if input %}\n{{ input }}{% endif %}{# header #}\n<|assistant|>:\n{{ response }}"
BUILT_IN = {"alpaca": ALPACA, "phi3": PHI3}

FIELDS = ("instruction", "input", "category")
HEADER_MARK = "{# header #}"
RESPONSE = re.compile(r"\{\{\s*response\s*\}\}\s*\Z")
MARKERS = ("### Instruction:", "### Input:", "### Response:", "<|user|>", "<|assistant|>", "<|endoftext|>")

ENVIRONMENT = BoundedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
# Only the fields, and nothing random: the same record always gives the same text.
ENVIRONMENT.globals.clear()
del ENVIRONMENT.filters["random"]


@dataclass(frozen=True)
class Template:
    """A checked template; `header` is the text between the prompt and the response."""

    name: str
    prompt: jinja2.Template
    header: str
    markers: tuple[str, ...]

    def format(self, record: Mapping[str, Any], response_header: str) -> dict[str, str]:
        """Return a `FORMATTED` row for a `RECORDS` row, as `format_all` does."""
        return self.format_all([record], response_header)[0]

    def format_all(
        self,
        records: Iterable[Mapping[str, Any]],
        response_header: str,
        escapes: Escapes = NO_ESCAPES,
        beginning: str = "",
    ) -> list[dict[str, Any]]:
        """Return a `FORMATTED` row for each `RECORDS` row.

        `response_header` is `in_prompt` or `in_response`: which of the two texts the header belongs to. `escapes` keeps
        the records from spelling special tokens, and `beginning` is the special token that every prompt starts with.
        Raises `UserError` naming the record if the template fails on its text, or takes too long for all of them.
        """
        rows, identifier = [], ""
        try:
            with bounded():
                for record in records:
                    identifier = record["id"]
                    rows.append(self._row(record, response_header, escapes, beginning))
        except Exception as error:  # a user's template may do anything that the sandbox lets it
            raise UserError(
                f"{self.name}: fails on record {identifier}: {fault_words(error)}: correct the template"
            ) from error
        return rows

    def _row(self, record: Mapping[str, Any], response_header: str, escapes: Escapes, beginning: str) -> dict[str, str]:
        header = self.header if response_header == "in_response" else ""

        def write(escape: Callable[[str], str]) -> list[str]:
            prompt = _render(self.prompt, {field: escape(record[field] or "") for field in FIELDS})
            if not prompt.startswith(beginning):
                prompt = beginning + prompt
            return [prompt if header else prompt + self.header, header + escape(record["output"])]

        prompt, response = escapes.written([record[field] or "" for field in (*FIELDS, "output")], write)
        return {"id": record["id"], "prompt": prompt, "response": response, "header": header}


def load_template(name: str) -> Template:
    """Return the built-in template `name`, or the one in the file of that name (ending in .jinja).

    Raises `UserError` with file and line if the file is missing or is not a template as described above.
    """
    return _checked(name, BUILT_IN[name] if name in BUILT_IN else read_source(name))


def read_source(name: str) -> str:
    """Return the text of the template file that format.template names; raises `UserError` where it names none."""
    path = Path(name)
    if path.suffix != ".jinja":
        raise UserError(f"format.template: {name!r} is neither alpaca, phi3, chat nor a path that ends in .jinja")
    return read_template(path, "correct the path or the file that format.template names")


def own_text(row: Mapping[str, Any]) -> str:
    """Return all that a record or a conversation says itself."""
    if "messages" in row:
        return "\n".join(message["content"] for message in row["messages"])
    return "\n".join((row["instruction"], row["input"], row["output"]))


def count_markers(records: Iterable[Mapping[str, Any]], markers: Sequence[str]) -> dict[str, int]:
    """Return for each marker how many records or conversations spell it in their own text."""
    counts = dict.fromkeys(markers, 0)
    for record in records:
        text = own_text(record)
        for marker in markers:
            counts[marker] += marker in text
    return counts


def _checked(name: str, source: str) -> Template:
    end = RESPONSE.search(source)
    if end is None:
        raise UserError(f"{name}: line {source.count(chr(10)) + 1}: a template ends with {{{{ response }}}}; add it")
    prompt_source, _, header = source[: end.start()].partition(HEADER_MARK)
    if any(brace in header for brace in ("{{", "{%", "{#")):
        line = prompt_source.count("\n") + 1
        raise UserError(f"{name}: line {line}: only plain text may come between {HEADER_MARK} and {{{{ response }}}}")
    try:
        prompt, tree = compiled(ENVIRONMENT, prompt_source)
        _check_fields(name, tree)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{name}: line {error.lineno}: {error.message}") from error
    except UserError:
        raise
    except Exception as error:  # of Jinja's parser or Python's, on what is nested too deep
        raise UserError(f"{name}: {fault_words(error)}: correct the template") from error
    for extra in ("", "input"):
        _try_out(name, prompt, dict.fromkeys(FIELDS, "sample") | {"input": extra})
    own = header.strip()
    markers = (own, *MARKERS) if own and name not in BUILT_IN else MARKERS
    return Template(name, prompt, header, tuple(dict.fromkeys(markers)))


def _check_fields(name: str, prompt: nodes.Template) -> None:
    set_here = {node.name for node in prompt.find_all(nodes.Name) if node.ctx != "load"}
    read = [node for node in prompt.find_all(nodes.Name) if node.ctx == "load"]
    known = {*FIELDS, *set_here}
    for node in read:
        if node.name == "response":
            raise UserError(f"{name}: line {node.lineno}: {{{{ response }}}} may appear only once, at the end")
        if node.name not in known:
            raise UserError(f"{name}: line {node.lineno}: unknown field {node.name!r}; there are {', '.join(FIELDS)}")
    if not any(node.name == "instruction" for node in read):
        raise UserError(f"{name}: the template does not use {{{{ instruction }}}}, so no prompt would hold the task")


def _try_out(name: str, prompt: jinja2.Template, record: Mapping[str, Any]) -> None:
    try:
        with bounded():
            _render(prompt, record)
    except Exception as error:  # a user's template may do anything that the sandbox lets it
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        raise UserError(f"{name}: line {lines[-1] if lines else 1}: {fault_words(error)}") from error


def _render(prompt: jinja2.Template, record: Mapping[str, Any]) -> str:
    return rendered(lambda: prompt.render(record))

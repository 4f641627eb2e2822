"""Asking from the command line: one question, answered while one watches, or a file of them."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from reprotune.artifacts import RESPONSES, TEXT, write_table
from reprotune.chat.answers import Decoding, row_of
from reprotune.chat.engine import Job, Lane, TokenScore, check_prompt
from reprotune.chat.models import Model, open_model
from reprotune.chat.text import Transcript
from reprotune.compute.device import keep_freed_memory, pick_compute
from reprotune.console import note, progress_bar
from reprotune.errors import UserError
from reprotune.files import parsed_json, read_text
from reprotune.generation.decoding import DecodingSettings, answer_text, generate
from reprotune.generation.slots import Sampling, Slots
from reprotune.params.sections.generate import GenerateParams
from reprotune.untrusted import visible

MEND = "correct the line"
ANSWERED = ("prompt", "response", "prompt_tokens", "response_tokens", "finish_reason")
ANSWERS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("instruction", TEXT, nullable=False),
        pa.field("input", TEXT, nullable=False),
        *(RESPONSES.field(name) for name in ANSWERED),
    ]
)
"""A line of the file, counted from 1, with the model's answer; the last columns are those of data/responses/."""


def ask_one(name: str, question: str, material: str) -> None:
    """Print a model's answer, on a terminal while it is written; raises `UserError` where it cannot be asked."""
    params, model = _opened(name)
    prompt = model.prompts.of_record(question, material)
    check_prompt(prompt.ids, model.context, "shorten the question")
    how = Decoding(params.max_new_tokens, Sampling(params.temperature, params.top_k, params.top_p), params.seed)
    row = row_of(model, prompt.ids, how)
    printed = _Printed(Transcript(model.tokenizer, (), prompt.header))
    lane = Lane(Slots(model.network, 1, len(row.prompt) + row.limit))
    lane.advance(lambda: [Job(row, printed)])
    while lane.jobs:
        lane.advance(list)
    print()
    if row.finish_reason == "length":
        limit = "the model's context is full" if row.limit < params.max_new_tokens else "generate.max_new_tokens"
        note(f"(cut after {row.limit} tokens: {limit})")


class _Printed:
    """Prints an answer; what could steer a terminal is spelled out there."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    def prompt_scored(self, scores: list[TokenScore | None]) -> None:
        """Nothing asked for scores."""

    def token(self, token: int, score: TokenScore | None) -> bool:
        self._print(self._transcript.add(token))
        return True

    def ended(self, reason: str) -> None:
        self._print(self._transcript.end())

    def failed(self, error: Exception) -> None:
        raise error

    def _print(self, text: str) -> None:
        if text:
            print(visible(text) if sys.stdout.isatty() else text, end="", flush=True)


def ask_file(name: str, source: Path, target: Path) -> None:
    """Answer each row of a file of JSON Lines; raises `UserError` that names the line at fault before any is asked."""
    rows = read_questions(source)
    params, model = _opened(name)
    prompts = []
    for row in rows:
        try:
            prompts.append(model.prompts.of_record(row["instruction"], row["input"]))
            check_prompt(prompts[-1].ids, model.context, "shorten it")
        except UserError as error:
            raise UserError(f"{source} line {row['row']}: {error}") from error
    settings = DecodingSettings(end_of_text=model.tokenizer.end_of_text, **params.model_dump(exclude={"precision"}))
    with progress_bar(f"answers of {name}", len(rows)) as bar:
        answers = generate(model.network, [prompt.ids for prompt in prompts], settings, on_finished=bar.update)
    answered = [
        row
        | {
            "prompt": prompt.text,
            "response": answer_text(model.tokenizer.decode(answer.token_ids), prompt.header),
            "prompt_tokens": len(prompt.ids),
            "response_tokens": len(answer.token_ids),
            "finish_reason": answer.finish_reason,
        }
        for row, prompt, answer in zip(rows, prompts, answers, strict=True)
    ]
    write_table(target, pa.Table.from_pylist(answered, schema=ANSWERS))
    cut = sum(answer.finish_reason == "length" for answer in answers)
    note(f"{target}: {len(rows)} answers of {name}, {cut} of them cut at their longest length")


def read_questions(source: Path) -> list[dict[str, Any]]:
    """Return the questions in a file of JSON Lines; blank lines are none. Raises `UserError` naming the line."""
    found = []
    for number, line in enumerate(read_text(source, "name a file of JSON Lines").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{source} line {number}"
        value = parsed_json(line, where, MEND)
        if not isinstance(value, dict) or not isinstance(value.get("instruction"), str):
            raise UserError(f"{where} is no object with an `instruction`: {MEND}")
        material = value.get("input")
        if material is not None and not isinstance(material, str):
            raise UserError(f"{where}: `input` should be text: {MEND}")
        found.append({"row": number, "instruction": value["instruction"], "input": material or ""})
    if not found:
        raise UserError(f"{source} holds no question: write one JSON object with an `instruction` on each line")
    return found


def _opened(name: str) -> tuple[GenerateParams, Model]:
    params = GenerateParams.load("generate")
    keep_freed_memory()
    return params, open_model(name, pick_compute(params.precision))

"""Whose answers the fine-tuned ones are compared with: the base model's, the references, or those in a file.

A file of outputs has the form of AlpacaEval's `model_outputs.json`: a list of objects with `instruction`, `output` and
`generator`, here also as JSON Lines, or it is a Parquet file of the stage `generate`. A row is joined to the test row
with its `id`, or else to those that ask the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reprotune.artifacts import RESPONSES, read_table
from reprotune.errors import UserError
from reprotune.files import TEXT_BYTES, parsed_json, read_text
from reprotune.judging.answers import Answer
from reprotune.untrusted import clipped, visible

BASE, REFERENCE, OTHER = "base", "reference", "opponent"
"""What `Answer.model` says of an opponent's answers; `OTHER` are those in a file."""

MOST_NAME = 80
SHOWN_CHARS = 60
MOST_OUTPUT = 1_000_000
"""Longest answer in a file, in characters."""
REMEDY = "correct it, or the path that judge.against names"

Row = dict[str, Any]


class Outputs(NamedTuple):
    """The content of a file of outputs."""

    name: str
    """Whose answers they are: the `generator` of the rows, else the file's name without its ending."""
    by_id: dict[str, str]
    """Id of a test row -> answer, for the rows that name one."""
    by_text: dict[str, str]
    """What is asked, as `asked` puts it -> answer, for the others."""


class Opponent(NamedTuple):
    """An opponent's answers to the test rows."""

    name: str
    """For readers; the answers' `model` is one of `BASE`, `REFERENCE` and `OTHER`."""
    answers: list[Answer]
    """Sorted by id; empty for the base model, whose answers are there anyway."""
    unanswered: int = 0
    """Test rows without an answer of the opponent."""
    unmatched: int = 0
    """Answers of the opponent to what no test row asks."""

    @property
    def model(self) -> str:
        """The opponent as the answers' `model` says it."""
        return self.answers[0].model if self.answers else BASE


def read_opponent(against: str, answers: Sequence[Answer]) -> Opponent:
    """Return the opponent that `judge.against` names; `answers` are those of the models that are judged.

    A reference is not shown to the judge beside itself. Raises `UserError` if a file cannot be used, or answers none of
    the test rows.
    """
    rows = sorted({answer.id: answer for answer in answers}.values(), key=lambda answer: answer.id)
    if against == BASE:
        return Opponent(BASE, [])
    if against == REFERENCE:
        items = [row.item._replace(response=row.item.reference, reference="") for row in rows]
        return Opponent(
            REFERENCE, [row._replace(model=REFERENCE, item=item) for row, item in zip(rows, items, strict=True)]
        )
    path = Path(against).expanduser()
    outputs = read_outputs(path)
    found = []
    asked_for = {asked(row.item.instruction, row.item.input) for row in rows}
    for row in rows:
        text = outputs.by_id.get(row.id, outputs.by_text.get(asked(row.item.instruction, row.item.input)))
        if text is not None:
            found.append(row._replace(model=OTHER, item=row.item._replace(response=text)))
    if not found:
        raise UserError(
            f"{path} answers none of the {len(rows)} test rows: its rows should have their `id`, or the same "
            f"`instruction` (and `input`): {REMEDY}"
        )
    known = outputs.by_id.keys() & {row.id for row in rows}
    unmatched = len(outputs.by_id) - len(known) + len(outputs.by_text.keys() - asked_for)
    return Opponent(outputs.name, found, len(rows) - len(found), unmatched)


def asked(instruction: str, material: str) -> str:
    """Return an instruction with its input, if any, as one text, which is what AlpacaEval calls an instruction."""
    return f"{instruction}\n\n{material}" if material else instruction


def read_outputs(path: Path) -> Outputs:
    """Read a file of outputs; raises `UserError` that names the row (counted from 0) if one cannot be used."""
    if path.suffix == ".parquet":
        responses = read_table(path, RESPONSES).to_pylist()
        return Outputs(_shown_name(path.stem), {row["id"]: row["response"] for row in responses}, {})
    by_id: dict[str, str] = {}
    by_text: dict[str, str] = {}
    places: dict[tuple[bool, str], int] = {}
    names: Counter[str] = Counter()
    for place, row in enumerate(_rows(path)):
        where = f"{path}: row {place} (counting from 0)"
        texts = {key: _text(row, key, where) for key in ("id", "instruction", "input", "output", "generator")}
        output, generator = texts["output"], texts["generator"]
        if output is None or (not texts["id"] and not texts["instruction"]):
            missing = "output" if output is None else "instruction"
            raise UserError(f"{where} has no {missing}: {REMEDY}")
        if len(output) > MOST_OUTPUT:
            raise UserError(f"{where} has an output of more than {MOST_OUTPUT:,} characters: {REMEDY}")
        named = bool(texts["id"])
        key = texts["id"] or asked(texts["instruction"] or "", texts["input"] or "")
        if (before := places.setdefault((named, key), place)) != place:
            raise UserError(
                f"{where} answers the same as row {before} ({clipped(key, SHOWN_CHARS)!r}): keep one of the two"
            )
        (by_id if named else by_text)[key] = output
        names[generator or path.stem] += 1
    if not names:
        raise UserError(f"{path} has no rows: {REMEDY}")
    if len(names) > 1:
        shown = ", ".join(repr(clipped(name, SHOWN_CHARS)) for name, _ in names.most_common(3))
        raise UserError(f"{path} has answers of {len(names)} generators ({shown}): keep those of one")
    return Outputs(_shown_name(next(iter(names))), by_id, by_text)


def _shown_name(name: str) -> str:
    return str(visible(clipped(name, MOST_NAME)))


def _rows(path: Path) -> Iterator[Row]:
    text = read_text(path, f"{REMEDY} (base, reference, or a file of outputs)", TEXT_BYTES)
    if path.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), start=1)
        rows: Any = [parsed_json(line, f"{path} line {number}", REMEDY) for number, line in lines if line.strip()]
    else:
        rows = parsed_json(text, str(path), REMEDY)
    if not isinstance(rows, list):
        raise UserError(f"{path} should be a list of objects with instruction and output: {REMEDY}")
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UserError(f"{path}: row {place} (counting from 0) should be an object: {REMEDY}")
        yield row


def _text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: {key} should be text, but it is {clipped(repr(value), SHOWN_CHARS)}: {REMEDY}")
    return value

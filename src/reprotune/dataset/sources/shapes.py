"""The shapes of rows: which one a source has, and what a row of each becomes.

An instruction row becomes `instruction`, `input` and `output`, a conversation `messages`. Every other shape is one of
the two in other words.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from reprotune.dataset.sources import fields
from reprotune.dataset.sources.fields import UnusableError
from reprotune.dataset.sources.readers import Unreadable
from reprotune.dataset.sources.turns import canonical_messages
from reprotune.params.sections.dataset import SHAPE_ROLES, ColumnNames

Row = dict[str, Any]
Fields = dict[str, Any]
"""The columns of a record that hold its content: `instruction`, `input`, `output`, or `messages`."""

INSTANCES = "instances"
FOREIGN = ("tools", "functions", "images", "image", "videos", "audios")
"""Columns beside a conversation without which it is not whole."""


class Shape(NamedTuple):
    """How the rows of a source look."""

    name: str
    read: Callable[[Row, ColumnNames, int], Fields]
    """Row, columns and longest text -> content; raises `UnusableError`."""
    needed: tuple[str, ...]
    """Keys of `columns` that some row must have."""
    fixed: tuple[str, ...] = ()
    """Columns that it reads under their own name."""
    conversations: bool = False

    def columns(self, names: ColumnNames) -> dict[str, str]:
        """Return the columns that it reads, by the key that names each."""
        return {role: getattr(names, role) for role in SHAPE_ROLES[self.name]}


def _instruction(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    return {
        "instruction": fields.required_text(row, "instruction", columns.instruction, max_chars),
        "input": fields.text(row, "input", columns.input, max_chars),
        "output": fields.required_text(row, "output", columns.output, max_chars),
    }


def _seed_task(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    """Read one instance of a task, as `expanded` gives it."""
    instance = row[INSTANCES]
    if isinstance(instance, Unreadable):
        raise UnusableError(f"an instance is unreadable: {instance.reason}")
    if not isinstance(instance, dict):
        raise UnusableError(f"an instance is not an object but {fields.kind(instance)}")
    return {
        "instruction": fields.required_text(row, "instruction", columns.instruction, max_chars),
        "input": fields.text(instance, "input", "input", max_chars),
        "output": fields.required_text(instance, "output", "output", max_chars),
    }


def _prompt_completion(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    prompt = fields.required_text(row, "prompt", columns.prompt, max_chars)
    completion = fields.required_text(row, "completion", columns.completion, max_chars)
    return {"instruction": prompt, "input": "", "output": completion}


def _text(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    text = fields.required_text(row, "text", columns.text, max_chars)
    return {"messages": [{"role": "assistant", "content": text}]}


def _messages(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    return _conversation(row, columns.messages, columns, max_chars)


def _sharegpt(row: Row, columns: ColumnNames, max_chars: int) -> Fields:
    return _conversation(row, columns.conversations, columns, max_chars)


def _conversation(row: Row, column: str, columns: ColumnNames, max_chars: int) -> Fields:
    for name in FOREIGN:
        if row.get(name) and row[name] != "[]":
            raise UnusableError(f"it comes with {name}, which are not supported")
    system = fields.text(row, "system", columns.system, max_chars)
    return {"messages": canonical_messages(row.get(column), column, system, max_chars)}


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("instruction", _instruction, ("instruction", "output")),
        Shape("seed_tasks", _seed_task, ("instruction",), (INSTANCES,)),
        Shape("messages", _messages, ("messages",), FOREIGN, conversations=True),
        Shape("sharegpt", _sharegpt, ("conversations",), FOREIGN, conversations=True),
        Shape("prompt_completion", _prompt_completion, ("prompt", "completion")),
        Shape("text", _text, ("text",), conversations=True),
    )
}
"""In the order in which `detected` looks for them: a dataset of conversations often repeats its first prompt beside
them, and one of instructions the whole text."""


def detected(rows: Iterable[Any], columns: ColumnNames) -> Shape:
    """Return the first shape whose columns these rows have; the shape `instruction` where none fits."""
    seen = {key for row in rows if isinstance(row, dict) for key in row}
    for shape in SHAPES.values():
        needed = [getattr(columns, role) for role in shape.needed] + [INSTANCES] * (shape.name == "seed_tasks")
        if seen.issuperset(needed):
            return shape
    return SHAPES["instruction"]


def columns_read(shape: str, names: ColumnNames) -> set[str]:
    """Return the columns that may be needed of a source of this shape; of any shape for `auto`."""
    shapes = SHAPES.values() if shape == "auto" else [SHAPES[shape]]
    found = {name for one in shapes for name in (*one.columns(names).values(), *one.fixed)}
    return found if names.checks is None else {*found, names.checks}


def expanded(row: Row, shape: Shape) -> list[Row]:
    """Return the rows that a row stands for: one for each instance of a seed task, itself in every other shape.

    Raises `UnusableError` for a task without instances.
    """
    if shape.name != "seed_tasks":
        return [row]
    instances = row.get(INSTANCES)
    if not isinstance(instances, list):
        found = "missing" if instances is None else f"not a list but {fields.kind(instances)}"
        raise UnusableError(f"{INSTANCES} is {found}")
    if not instances:
        raise UnusableError(f"{INSTANCES} is empty")
    return [row | {INSTANCES: instance} for instance in instances]


def as_conversation(record: Fields) -> Fields:
    """Return the content of an instruction record as a conversation of one turn."""
    asked = f"{record['instruction']}\n\n{record['input']}" if record["input"] else record["instruction"]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": record["output"]}]}


def content_texts(content: Fields) -> list[str]:
    """Return the texts of a record's content in a fixed order, roles among them."""
    if "messages" in content:
        return [text for message in content["messages"] for text in (message["role"], message["content"])]
    return [content["instruction"], content["input"], content["output"]]

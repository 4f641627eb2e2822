"""Checks of an answer that need no judge: what a row may demand, how it is read, and whether a text complies.

A row's checks are a list of objects such as `{"kind": "words", "at_least": 50}`. Each kind is one class below, with its
settings as fields and its definition as docstring. No setting is a pattern that would be executed. A text of white
space alone complies with nothing, and white space around a text never counts.
"""

import json
import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

MOST_CHECKS = 20
"""Of one row."""
MOST_TEXT = 1000
MOST_NUMBER = 100_000
MOST_LEVELS = 100

Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
Number = Annotated[int, Field(ge=0, le=MOST_NUMBER)]

SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*(?=\s|$)|[。！？]")
BULLET = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)])\s+\S")
BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
WORD_CHARACTER = re.compile(r"\w")
NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?", re.ASCII)
FENCED = re.compile(r"```(?:json)?\n(.*)\n```", re.DOTALL | re.IGNORECASE)
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "»": "«"}


class _Kind(BaseModel):
    """Base of every kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def holds(self, text: str) -> bool:
        """Tell whether a text complies."""
        text = text.strip()
        return bool(text) and self._holds(text)

    def _holds(self, text: str) -> bool:
        raise NotImplementedError


class _Count(_Kind):
    """Base of the kinds that count something; the limits are inclusive, and there is at least one."""

    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("it should have at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least should not be more than at_most")
        return self

    def _within(self, count: int) -> bool:
        return (self.at_least or 0) <= count <= (math.inf if self.at_most is None else self.at_most)

    def _holds(self, text: str) -> bool:
        return self._within(self._count(text))

    def _count(self, text: str) -> int:
        raise NotImplementedError


class Words(_Count):
    """Number of words: what stands between white space and holds a letter or a digit."""

    kind: Literal["words"]

    def _count(self, text: str) -> int:
        return sum(bool(WORD_CHARACTER.search(word)) for word in text.split())


class Sentences(_Count):
    """Number of sentences: what holds a letter or digit up to `.`, `!`, `?` or `…` before white space, or to the end.

    An abbreviation before a blank ends one, too.
    """

    kind: Literal["sentences"]

    def _count(self, text: str) -> int:
        return sum(bool(WORD_CHARACTER.search(part)) for part in SENTENCE_END.split(text))


class Lines(_Count):
    """Number of lines that are not blank."""

    kind: Literal["lines"]

    def _count(self, text: str) -> int:
        return sum(bool(line.strip()) for line in text.split("\n"))


class Paragraphs(_Count):
    """Number of paragraphs: what stands between blank lines."""

    kind: Literal["paragraphs"]

    def _count(self, text: str) -> int:
        return len(BLANK_LINES.split(text))


class Bullets(_Count):
    """Number of list items: lines that begin with `-`, `*`, `+`, `•`, or a number with `.` or `)`, and a blank."""

    kind: Literal["bullets"]

    def _count(self, text: str) -> int:
        return sum(bool(BULLET.match(line)) for line in text.split("\n"))


class Includes(_Count):
    """How often `text` occurs as whole words, letter case aside; at least once where no limit is given."""

    kind: Literal["includes"]
    text: Text

    @model_validator(mode="before")
    @classmethod
    def _once_at_least(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("at_least") is None and value.get("at_most") is None:
            return {**value, "at_least": 1}
        return value

    def _count(self, text: str) -> int:
        return occurrences(self.text, text)


class Excludes(_Kind):
    """None of `texts` occurs as whole words, letter case aside."""

    kind: Literal["excludes"]
    texts: Annotated[list[Text], Field(min_length=1, max_length=MOST_CHECKS)]

    def _holds(self, text: str) -> bool:
        return not any(occurrences(one, text) for one in self.texts)


class Case(_Kind):
    """All letters are lower or upper case; there is at least one that has a case."""

    kind: Literal["case"]
    case: Literal["lower", "upper"]

    def _holds(self, text: str) -> bool:
        return text.islower() if self.case == "lower" else text.isupper()


class NoCommas(_Kind):
    """There is no comma."""

    kind: Literal["no_commas"]

    def _holds(self, text: str) -> bool:
        return "," not in text


class Quoted(_Kind):
    """The whole text stands in double quotation marks, with something between them."""

    kind: Literal["quoted"]

    def _holds(self, text: str) -> bool:
        return bool(text[1:-1].strip()) and QUOTES.get(text[0]) == text[-1]


class StartsWith(_Kind):
    """It begins with `text`, letter case aside."""

    kind: Literal["starts_with"]
    text: Text

    def _holds(self, text: str) -> bool:
        return text.casefold().startswith(self.text.strip().casefold())


class EndsWith(_Kind):
    """It ends with `text`, letter case aside."""

    kind: Literal["ends_with"]
    text: Text

    def _holds(self, text: str) -> bool:
        return text.casefold().endswith(self.text.strip().casefold())


class IsNumber(_Kind):
    """It is one number in digits, and nothing else: `-1,234.50`; with `decimals`, so many digits follow the point."""

    kind: Literal["number"]
    decimals: Annotated[int, Field(ge=0, le=20)] | None = None

    def _holds(self, text: str) -> bool:
        found = NUMBER.fullmatch(text)
        return found is not None and (self.decimals is None or len(found[1] or "") == self.decimals)


class Json(_Kind):
    """It is JSON, alone or in one code fence; with `keys`, an object that has them all."""

    kind: Literal["json"]
    keys: Annotated[list[Text], Field(max_length=MOST_CHECKS)] = []

    def _holds(self, text: str) -> bool:
        fenced = FENCED.fullmatch(text)
        text = fenced[1] if fenced else text
        if text.count("[") + text.count("{") > MOST_NUMBER:
            return False
        try:
            value = json.loads(text, parse_int=str, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return False
        return not self.keys or (isinstance(value, dict) and all(key in value for key in self.keys))


Check = Annotated[
    Words
    | Sentences
    | Lines
    | Paragraphs
    | Bullets
    | Includes
    | Excludes
    | Case
    | NoCommas
    | Quoted
    | StartsWith
    | EndsWith
    | IsNumber
    | Json,
    Field(discriminator="kind"),
]
CHECKS: TypeAdapter[list[Check]] = TypeAdapter(Annotated[list[Check], Field(max_length=MOST_CHECKS)])


def parsed_checks(value: Any) -> list[Check]:
    """Return a row's checks: a list of objects, or its JSON text; raises `ValueError` that says in words what is wrong.

    Null, blank text and an empty list are no checks. Fields of objects that are null count as absent: a Parquet file
    has them where another row's check has a value.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError) as error:
            raise ValueError("checks are not valid JSON") from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"checks are not a list but {type(value).__name__}")
    present = [
        {key: item for key, item in one.items() if item is not None} if isinstance(one, dict) else one for one in value
    ]
    try:
        return CHECKS.validate_python(present)
    except ValidationError as error:
        raise ValueError(_fault(dict(error.errors()[0]))) from error


def canonical(checks: list[Check]) -> str:
    """Return checks as JSON text that is the same for the same checks."""
    values = [check.model_dump(exclude_none=True) for check in checks]
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def occurrences(sought: str, text: str) -> int:
    """Return how often `sought` occurs as whole words, letter case aside: no letter or digit goes on at its ends."""
    sought, text = sought.strip().casefold(), text.casefold()
    found, place = 0, text.find(sought) if sought else -1
    while place >= 0:
        end = place + len(sought)
        opened = place and _go_together(text[place - 1], sought[0])
        going_on = end < len(text) and _go_together(sought[-1], text[end])
        found += not opened and not going_on
        place = text.find(sought, place + 1 if opened or going_on else end)
    return found


def _go_together(before: str, after: str) -> bool:
    return bool(WORD_CHARACTER.match(before) and WORD_CHARACTER.match(after))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _fault(error: dict[str, Any]) -> str:
    """Return in words what is wrong with a check, without any text of the row: the same fault has the same words."""
    if not error["loc"]:
        return f"there are more than {MOST_CHECKS} checks"
    place, *inside = error["loc"]
    if not inside:
        faults = {"union_tag_invalid": "is of no kind that there is", "union_tag_not_found": "has no kind"}
        return f"check {place} {faults.get(error['type'], 'is not an object')}"
    kind, *keys = inside
    if error["type"] == "value_error":
        return f"check {place} of kind {kind}: {error['ctx']['error']}"
    if error["type"] == "extra_forbidden":
        return f"check {place} of kind {kind} has a key that is not known"
    missing = error["type"] == "missing"
    return f"check {place} of kind {kind} has {'no' if missing else 'an unusable'} {keys[0] if keys else 'value'}"

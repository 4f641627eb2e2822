"""Reading a judge's reply: the score if it is beyond doubt, else a status that says why there is none."""

import json
import re
from typing import Any, NamedTuple

LABELLED = re.compile(
    r"""(?ix)
    (?: \b (?:score|rating|grade) [\s"'*_`]{0,8} (?: [:=] | is | of | )? [\s"'*_`]{0,8}  # "score": 85, score of 85
        (?P<labelled> -? \d+ (?:\.\d+)? )
      | (?P<of_hundred> -? \d+ (?:\.\d+)? ) \s* (?: / | out \s of ) \s* 100 \b   # 85/100, 85 out of 100
      | ^ [\s"'*_`]{0,8} (?P<alone> -? \d+ (?:\.\d+)? ) [\s"'*_`.%]{0,8} $  # a line that is only a number
    ) (?![\d.]*\d)
    """,
    re.MULTILINE,
)
"""Numbers that are meant as a score. A bare number in prose is not: reasoning is full of them."""

CHOSEN = re.compile(
    r"""(?ix)
    (?: \b (?:winner|verdict|better|best) (?:\s is)? [\s"'*_`:=]{1,8} (?: answer \s)? (?P<named> A | B | tie )
      | \[\[ (?P<bracketed> A | B | tie ) \]\]
      | ^ [\s"'*_`]{0,8} (?: answer \s)? (?P<alone> A | B | tie ) [\s"'*_`.]{0,8} $  # a line of its own
    ) (?!\w)
    """,
    re.MULTILINE,
)
"""Names that are meant as a verdict on two answers."""

POINTS = {"a": 100.0, "b": 0.0, "tie": 50.0}
"""What each verdict on two answers is worth to the answer shown first."""

REFUSAL = re.compile(
    r"\b(?:I['\u2019]m sorry|I am sorry|I apologi[sz]e|I (?:can(?:no|['\u2019])t|can not|won['\u2019]t|will not)"
    r"|I(?:['\u2019]m| am) (?:unable|not able)|as an AI)\b",
    re.IGNORECASE,
)

TAIL = 8192
"""Only this many characters at the end are searched, so that a hostile reply cannot keep us busy for minutes."""


class Verdict(NamedTuple):
    """What a reply says."""

    status: str
    """`ok`, `refused`, `unparsable`, `truncated`, or `error` if the service gave no reply."""
    score: float | None = None
    """0..100; null unless the status is `ok`. Of two answers: 100 the first is better, 0 the second, 50 a tie."""
    reasoning: str | None = None


def read_verdict(text: str, finish: str, asks_for: str = "score") -> Verdict:
    """Read one reply; never raises.

    `finish` is `stop`, `length` (the reply was cut off, so its number may be incomplete) or `refused`. The verdict is
    the field `asks_for` (`score`, or `winner` of two answers) of the JSON object that ends the reply; if there is no
    such object, the last number or name that is marked as a verdict. A score outside 0..100, or a winner that was not
    on offer, makes the reply unparsable: nothing is clamped or guessed.
    """
    if finish == "refused":
        return Verdict("refused")
    if finish == "length":
        return Verdict("truncated")
    text = text[-TAIL:]
    found = _final_object(text, asks_for)
    value: Any = None
    if found is not None:
        value = found[asks_for]
    else:
        for match in (LABELLED if asks_for == "score" else CHOSEN).finditer(text):
            value = match[match.lastgroup or 0]
    score = _number(value) if asks_for == "score" else _points(value)
    reasoning = found.get("reasoning") if found else None
    if score is not None:
        return Verdict("ok", score, reasoning if isinstance(reasoning, str) else None)
    return Verdict("refused" if found is None and REFUSAL.search(text) else "unparsable")


def _final_object(text: str, field: str) -> dict[str, Any] | None:
    """Return the JSON object with `field` that ends the reply (after prose, in a code fence).

    Only the end counts: where a judge's reasoning quotes an answer's own `{"score": 100}` without escaping the quotes,
    the answer must not get to choose its score.
    """
    # As floats, integers of thousands of digits, which Python refuses to parse, are simply out of range.
    decoder = json.JSONDecoder(parse_int=float)
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if field in value and not text[end:].strip("` \n"):
                return dict(value)
        start = text.find("{", end)
    return None


def _number(value: Any) -> float | None:
    """Return a score of 0..100 from a JSON value or digits; null for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number <= 100 else None


def _points(value: Any) -> float | None:
    """Return the points of the answer shown first for a named winner; null for any other name."""
    return POINTS.get(value.strip().casefold()) if isinstance(value, str) else None

"""Reading a judge's reply: the score if it is beyond doubt, else a status that says why there is none.

A wrong score is worse than none, because an unread reply costs only a repair request. So a verdict counts only where
the reply ends with it, in a form that leaves no other reading: the JSON object that was asked for, or a sentence that
states nothing but the verdict. Numbers and names in the middle of a reply may be quoted, denied or counted.
"""

import json
import re
from typing import Any, NamedTuple

NUMBER = r"[0-9]{1,3}(?:\.[0-9]+)?"
HUNDRED = r"(?: (?: \s? / \s? | \s out \s of \s ) 100 )"
MARKS = r"""[\s"'*_`]{0,8}"""
START = rf"""(?: \A | \n | [.!?]\s ) {MARKS} (?: (?:the|my|a)\s )? (?: (?:final|overall)\s )?"""
END = r"""[\s"'*_`.]{0,8} \Z"""

STATED_SCORE = re.compile(
    rf"""(?ix)
    (?: \A {MARKS} (?P<alone> {NUMBER} )  # 85, and nothing else in the whole reply
      | {START} (?:score|rating|grade) {MARKS} (?: [:=] | is\s | of\s )? {MARKS} (?P<labelled> {NUMBER} )  # Score: 85
      | {START} (?: I\s (?:would\s)? give \s (?:it|this|(?:the|this)\sanswer) \s )?
        (?P<of_hundred> {NUMBER} ) (?= {MARKS} {HUNDRED} )  # 85/100, I would give it 85 out of 100
    )
    {MARKS} (?: {HUNDRED} | \s? % | \s points )? {END}"""
)
"""The number that a reply ends with, where it is stated as a score."""

STATED_WINNER = re.compile(
    rf"""(?ix)
    (?: \A {MARKS} (?:answer\s)? (?P<alone> A | B | tie )  # Answer A, and nothing else in the whole reply
      | {START} (?: winner | verdict | (?:better|best) (?:\sanswer)? ) {MARKS} (?: [:=] | is\s ) {MARKS}
        (?:answer\s)? (?P<named> A | B | tie )  # The winner is answer B.
      | {START} (?: (?:winner|verdict) {MARKS} (?: [:=] | is\s ) {MARKS} )?
        \[\[ (?P<bracketed> A | B | tie ) \]\]  # Verdict: [[A]]
    )
    {END}"""
)
"""The name that a reply ends with, where it is stated as the verdict on two answers."""

SCALE = re.compile(
    r"(?ix) (?: \b(?:scale|range)\b [^.\n]{0,20}? (?: to\s | of\s | [-\u2013] ) \s? (?![01]\b)"  # a scale of 1 to 10
    r" | [0-9]\s?/\s? | \bout\sof\s ) ([0-9]{1,4})\b"  # 8/10, 4 out of 5
)
"""The top of a scale that a reply mentions."""

POINTS = {"a": 100.0, "b": 0.0, "tie": 50.0}
"""What each verdict on two answers is worth to the answer shown first."""

REFUSAL = re.compile(
    r"\b(?:I['\u2019]m sorry|I am sorry|I apologi[sz]e|I (?:can(?:no|['\u2019])t|can not|won['\u2019]t|will not)"
    r"|I(?:['\u2019]m| am) (?:unable|not able)|as an AI)\b",
    re.IGNORECASE,
)

TAIL = 8192
"""Only this many characters at the end are searched, so that a hostile reply cannot keep us busy for minutes."""

LONGEST_STATEMENT = 400
"""More characters than any statement of a verdict has."""


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
    such object, the statement that ends it. A score outside 0..100, or on another scale, or a winner that was not on
    offer, makes the reply unparsable: nothing is clamped, converted or guessed.
    """
    if finish == "refused":
        return Verdict("refused")
    if finish == "length":
        return Verdict("truncated")
    text = text[-TAIL:].rpartition("</think>")[2].strip()
    found = _final_object(text, asks_for)
    value = found[asks_for] if found else _stated(text, asks_for)
    score = _score(value, text) if asks_for == "score" else _points(value)
    if score is not None and not (found and asks_for == "score" and _has_other_numbers(found)):
        reasoning = found.get("reasoning") if found else None
        return Verdict("ok", score, reasoning if isinstance(reasoning, str) else None)
    return Verdict("refused" if found is None and REFUSAL.search(text) else "unparsable")


def _final_object(text: str, field: str) -> dict[str, Any] | None:
    """Return the JSON object with `field` that ends the reply and starts on a line of its own; fences are ignored.

    An object within a line is a quotation: where a judge quotes an answer's own `{"score": 100}`, the answer must not
    get to choose its score. For the same reason a reply that opens with an object has to be that object.
    """
    text = re.sub(r"^[ \t]*```\w*|```[ \t]*$", "", text, flags=re.MULTILINE).strip()
    # As floats, integers of thousands of digits, which Python refuses to parse, are simply out of range.
    decoder = json.JSONDecoder(parse_int=float, object_pairs_hook=_object, strict=False)
    for start in re.finditer(r"\A\{" if text.startswith("{") else r"^[ \t]*\{", text, re.MULTILINE):
        try:
            value, end = decoder.raw_decode(text, start.end() - 1)
        except (ValueError, RecursionError):
            continue
        if end == len(text):
            return value if field in value else None
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raises ValueError for one that gives a field twice."""
    if len(pairs) != len(dict(pairs)):
        raise ValueError("a field is given twice")
    return dict(pairs)


def _stated(text: str, field: str) -> str | None:
    """Return the value that the reply states in prose, or in an object whose reasoning is not quoted correctly."""
    malformed = rf"""\s*\{{[^{{]*["']{field}["']\s*:\s*["']?({NUMBER}|A|B|tie)["']?\s*,?\s*\}}[\s`]*"""
    if match := re.fullmatch(malformed, re.sub(r"^\s*```\w*", "", text)):
        return match[1] if len(re.findall(rf"{field}\W{{0,4}}:", text)) == 1 else None
    # From there on, so that \A keeps its meaning: the start of the whole reply.
    match = (STATED_SCORE if field == "score" else STATED_WINNER).search(text, max(0, len(text) - LONGEST_STATEMENT))
    return match[match.lastgroup or 0] if match else None


def _score(value: Any, text: str) -> float | None:
    """Return a score of 0..100 from a JSON value or digits; null for anything else, and for any other scale.

    A number that the reply could mean on a shorter scale that it mentions is not a score of 0..100, and neither is one
    between 0 and 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(NUMBER, value):
        return None
    score = float(value)
    scales = [int(top) for top in SCALE.findall(text)]
    if score != 0 and any(score <= top <= 1000 and top != 100 for top in scales):
        return None
    return score if score == 0 or 1 <= score <= 100 else None


def _has_other_numbers(found: dict[str, Any]) -> bool:
    """Say whether an object has numbers in fields of its own, such as `max_score` or one score per criterion."""
    others = (value for name, value in found.items() if name not in ("score", "reasoning"))
    return any(character.isdigit() for value in others for character in json.dumps(value))


def _points(value: Any) -> float | None:
    """Return the points of the answer shown first for a named winner; null for any other name."""
    return POINTS.get(value.strip().casefold()) if isinstance(value, str) else None

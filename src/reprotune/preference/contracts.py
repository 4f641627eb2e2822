"""Artifacts of human preference: the key of a ballot, and the votes that count."""

import pyarrow as pa

from reprotune.artifacts import TEXT, contract, optional, required

REFERENCE, NOTHING = "(reference)", "(nothing)"
"""Names in the key where an answer is compared with an empty one."""

_PAIR = required("pair_id", TEXT, "Identifies the pair within its ballot: 16 hex digits that tell nothing.")
_RECORD = "The record that both answer: its id, or a hash of the prompt where the answers came from files without ids."

BALLOT = contract(
    "one pair of answers, with whose they are: what the page of the ballot keeps to itself",
    _PAIR,
    optional("place", pa.int32(), "Place on the page, from 0; null for two equal answers, which are a tie unasked."),
    required("record", TEXT, _RECORD),
    required("left_model", TEXT, "Whose answer is shown first: a contestant's name, `(reference)` or `(nothing)`."),
    required("right_model", TEXT, "Whose answer is shown second."),
    required("prompt", TEXT, "What was asked."),
    required("left_text", TEXT, "The answer that is shown first."),
    required("right_text", TEXT, "The answer that is shown second."),
    optional(
        "control",
        TEXT,
        "Null for a pair that counts; `empty` (an answer against none), `identical` (an answer against itself) or "
        "`repeat` (a pair again, with sides swapped).",
    ),
    optional("repeats", TEXT, "The pair that a `repeat` shows again."),
)

VOTES = contract(
    "one vote that was read from data/votes/, double votes counted once",
    required("source", TEXT, "The file with the ballot's key, or of imported votes."),
    required("pair_id", TEXT, "The pair; of imported votes the question, or the row."),
    required("record", TEXT, _RECORD),
    required("voter", TEXT, "Who voted."),
    required("first_model", TEXT, "One of the two models: of both names the first in alphabetical order."),
    required("second_model", TEXT, "The other one."),
    required("outcome", pa.float64(), "1: the first model was preferred; 0: the second was; 0.5: neither."),
    required("both_bad", pa.bool_(), "Whether neither was preferred because both answers are bad."),
    optional("left", pa.bool_(), "Whether the answer shown first was preferred; null where neither was."),
    optional("seconds", pa.float64(), "Time between the pair and the vote; null where it is not known."),
    optional("control", TEXT, "As in the ballot's key."),
    optional("repeats", TEXT, "As in the ballot's key."),
)

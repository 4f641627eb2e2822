"""Blind pairs: two answers to a message whose models only the server knows until somebody has voted on them."""

import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from reprotune.chat.requests import ApiError
from reprotune.errors import UserError
from reprotune.preference.filing import append_vote
from reprotune.preference.lines import checked_name
from reprotune.preference.votes import ANONYMOUS, FOLDER

FILE = "chat.jsonl"
SIDES = ("first", "second")
MOST_OPEN = 1000
"""Pairs that may wait for a vote; the oldest is forgotten for one more."""


class VoteRequest(BaseModel):
    """A body of `/chat/vote`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pair: str
    choice: Literal["first", "second", "same", "both_bad"]
    voter: str = ""


class Pair(NamedTuple):
    """What the page is told: the pair, and a name for each of its sides by which that model can be asked."""

    token: str
    sides: Sequence[str]


class Blind:
    """The pairs that are open, and where votes on them go."""

    def __init__(self, names: Sequence[str], path: Path) -> None:
        """`names` are those of the two models."""
        self._names = names
        self._path = path
        self._open: dict[str, Sequence[str]] = {}
        self._lock = threading.Lock()

    def draw(self) -> Pair:
        """Open a pair with sides drawn at random."""
        token = secrets.token_hex(8)
        with self._lock:
            while len(self._open) >= MOST_OPEN:
                del self._open[next(iter(self._open))]
            self._open[token] = self._names[::-1] if secrets.randbits(1) else self._names
        return Pair(token, [f"{token}.{side}" for side in SIDES])

    def model_name(self, side: str) -> str:
        """Return the model behind a side of an open pair; a name that is none comes back as it is."""
        token, _, which = side.rpartition(".")
        names = self._open.get(token)
        return side if names is None or which not in SIDES else names[SIDES.index(which)]

    def vote(self, vote: VoteRequest) -> Sequence[str]:
        """Append a vote to the file and return the models of both sides; raises `ApiError` or `UserError`.

        A pair takes one vote: it is closed by it, and stays open where the vote cannot be kept.
        """
        voter = checked_name(vote.voter.strip() or ANONYMOUS, "the voter", "correct your name")
        with self._lock:
            names = self._open.pop(vote.pair, None)
        if names is None:
            raise ApiError(404, "no such pair waits for a vote: send a message to get another", param="pair")
        winner = {"first": "model_a", "second": "model_b", "same": "tie"}.get(vote.choice, vote.choice)
        row = {"model_a": names[0], "model_b": names[1], "winner": winner, "voter": voter, "question": vote.pair}
        try:
            append_vote(self._path, row)
        except UserError:
            with self._lock:
                self._open[vote.pair] = names
            raise
        return names


def blind_pairs(names: Sequence[str], folder: Path = FOLDER) -> Blind | None:
    """Return the pairs of two models; null where there are not two, or no folder for votes on them."""
    if len(names) != len(SIDES) or not folder.is_dir():
        return None
    try:
        return Blind([checked_name(name, "the model", "choose another") for name in names], folder / FILE)
    except UserError:  # a path that is too long to name a model in a vote
        return None

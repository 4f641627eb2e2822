"""What the judging stage needs from a backend."""

from collections.abc import Sequence
from typing import Any, Protocol

from reprotune.judging.questions.prompts import Question
from reprotune.judging.service.store import Reply


class Client(Protocol):
    """One judge model at one service; `ask` is called from several threads."""

    judge: dict[str, Any]
    """What shapes a reply beside the question: backend, model, digest, options. Part of the store's key."""
    concurrency: int
    """Questions to keep under way at once."""

    def prepare(self, questions: Sequence[Question]) -> None:
        """Get ready for these questions (size the context, load the model); not called when there are none."""

    def ask(self, question: Question, repeat: int = 0) -> Reply:
        """Ask once; each repeat has another seed.

        Raises `RequestError` (this question failed) or `UserError` (asking on is pointless).
        """

    def close(self) -> None:
        """Release the connections."""

"""What a fact is."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["invented", "known", "rule"]
"""`invented`: nothing but the textbook can teach it; `known`: true of the real world, and learned by heart all the
same; `rule`: may be worked out from other examples."""


@dataclass(frozen=True)
class Fact:
    """One thing to know: in `family`, what belongs to `subject` is `value`.

    Facts with the same `group` are told and asked together: they never lie on two sides of the partition.
    """

    family: str
    kind: Kind
    subject: str
    value: str
    group: str


def word_list(text: str) -> list[str]:
    """Return the words of a text; long lists of words read best as running text."""
    return text.split()

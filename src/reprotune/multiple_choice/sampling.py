"""Which items are asked, and after which examples."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from reprotune.errors import UserError
from reprotune.multiple_choice.contracts import ITEM, SHOT
from reprotune.multiple_choice.prompts import Item


class Chosen(NamedTuple):
    """Items to ask, in the order of the source, and the examples of each subject."""

    items: list[Item]
    shots: dict[str, list[Item]]


def choose(rows: Sequence[Item], shots: int, items_per_subject: int | None, seed: int) -> Chosen:
    """Take the first `shots` examples of each subject, and all of its items or a sample of them.

    A sample are the items whose ids have the smallest hashes under `seed`, so that it does not depend on other items.
    Raises `UserError` where a subject has too few examples.
    """
    examples: dict[str, list[Item]] = defaultdict(list)
    by_subject: dict[str, list[Item]] = defaultdict(list)
    for row in rows:
        (by_subject if row["role"] == ITEM else examples)[row["subject"]].append(row)
    for subject in by_subject:
        if len(examples[subject]) < shots:
            raise UserError(
                f"benchmark.shots is {shots}, but data/benchmark/items.parquet has {len(examples[subject])} examples "
                f"(rows with the role {SHOT!r}) of the subject {subject!r}: lower it, or set "
                "fetch.benchmark.shots_split to the split that holds them"
            )
    taken = set()
    for items in by_subject.values():
        ranked = sorted((hashlib.sha256(f"{seed}:{item['id']}".encode()).digest(), item["id"]) for item in items)
        taken |= {identifier for _, identifier in ranked[:items_per_subject]}
    chosen = [row for row in rows if row["role"] == ITEM and row["id"] in taken]
    return Chosen(chosen, {subject: examples[subject][:shots] for subject in by_subject})

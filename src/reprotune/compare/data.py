"""How the records of two revisions differ: added, removed, changed, moved between splits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reprotune.artifacts import SPLITS
from reprotune.compare.snapshot import Record


@dataclass(frozen=True)
class DataChanges:
    """Counts of records; a record is recognised by its content or, if its answer changed, by instruction and input."""

    before: dict[str, int]
    """Split -> number of records."""
    after: dict[str, int]
    added: dict[str, int]
    """Split of the second revision -> records that the first does not have."""
    removed: dict[str, int]
    changed: list[tuple[Record, Record]]
    """The same instruction and input with another output or category."""
    moved: dict[tuple[str, str], int]
    """(from, to) -> records that changed split."""

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.removed or self.changed or self.moved)

    @property
    def same_validation(self) -> bool:
        """Whether the validation losses are of the same records."""
        touched = {*self.added, *self.removed, *(split for pair in self.moved for split in pair)}
        return "validation" not in touched | {record.split for pair in self.changed for record in pair}


def data_changes(before: Mapping[str, Record], after: Mapping[str, Record]) -> DataChanges:
    """Compare the records of two revisions, each given as id -> record."""
    pairs = [(before[identifier], after[identifier]) for identifier in before.keys() & after.keys()]
    gone = {key: record for key, record in before.items() if key not in after}
    new = {key: record for key, record in after.items() if key not in before}
    rewritten = _rewritten(gone, new)
    pairs += [(gone.pop(old), new.pop(fresh)) for old, fresh in rewritten]
    changed = [(old, fresh) for old, fresh in pairs if (old.output, old.category) != (fresh.output, fresh.category)]
    moved = Counter((old.split, fresh.split) for old, fresh in pairs if old.split != fresh.split)
    return DataChanges(
        before=_by_split(before),
        after=_by_split(after),
        added=_by_split(new),
        removed=_by_split(gone),
        changed=sorted(changed, key=lambda pair: (pair[1].instruction, pair[1].input, pair[1].output)),
        moved=dict(sorted(moved.items())),
    )


def _rewritten(gone: Mapping[str, Record], new: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Return (old id, new id) of records that ask the same thing, matched one to one in the order of the files."""
    waiting: dict[tuple[str, str], list[str]] = {}
    for identifier, record in gone.items():
        waiting.setdefault((record.instruction, record.input), []).append(identifier)
    pairs = []
    for identifier, record in new.items():
        if candidates := waiting.get((record.instruction, record.input)):
            pairs.append((candidates.pop(0), identifier))
    return pairs


def _by_split(records: Mapping[str, Record]) -> dict[str, int]:
    counts = Counter(record.split for record in records.values())
    return {split: counts[split] for split in SPLITS if counts[split]}

"""How the records of two revisions differ."""

from hypothesis import given
from hypothesis import strategies as st

from reprotune.compare.comparison import compare
from reprotune.compare.data import data_changes
from reprotune.compare.snapshot import Record, Snapshot


def test_data_changes_are_told_apart(snapshots: tuple[Snapshot, Snapshot]) -> None:
    data = compare(*snapshots).data
    assert data.added == {"train": 1}
    assert data.removed == {"test": 1}
    assert [(old.instruction, new.output != old.output) for old, new in data.changed] == [("Instruction 1000", True)]
    assert data.moved == {("train", "validation"): 1}
    assert not data.same_validation


RECORDS = st.dictionaries(
    st.integers(0, 30).map(str),
    st.builds(
        Record,
        split=st.sampled_from(["train", "validation", "test"]),
        instruction=st.sampled_from("abc"),
        input=st.just(""),
        output=st.sampled_from("xy"),
        category=st.none(),
    ),
)


@given(RECORDS, RECORDS)
def test_every_record_is_accounted_for(before: dict[str, Record], after: dict[str, Record]) -> None:
    data = data_changes(before, after)
    assert len(before) - sum(data.removed.values()) == len(after) - sum(data.added.values())
    for split in ("train", "validation", "test"):
        into = sum(count for (_, new), count in data.moved.items() if new == split) + data.added.get(split, 0)
        out = sum(count for (old, _), count in data.moved.items() if old == split) + data.removed.get(split, 0)
        assert data.after.get(split, 0) - data.before.get(split, 0) == into - out
    assert not data_changes(before, before).any

"""MMLU's subjects and groups: their numbers are those that both projects state."""

from collections import Counter

from reprotune.multiple_choice.subjects import GROUPS


def test_57_subjects_of_which_one_is_elsewhere() -> None:
    assert len(GROUPS) == 57
    assert [subject for subject, (ours, theirs) in GROUPS.items() if ours != theirs] == ["anatomy"]
    assert Counter(group for group, _ in GROUPS.values()) == {
        "STEM": 19,
        "humanities": 13,
        "social_sciences": 12,
        "other": 13,
    }

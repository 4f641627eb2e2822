"""Random edits of bytes that others write, and how many of them to try."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

PIECES = [
    b"\0", b"\xff", b'"', b"\\ud83d", b"[" * 60, b"{" * 60, b"9" * 5000, b"NaN", b"1e999", b"null", b"-1", b"\n", b"[]",
    b"{}", b",", b"\xff" * 8, b"\0" * 8, b"\x01\0\0\0", b'{"a":1,"a":2}', b"<<<<<<< HEAD\n",
]  # fmt: skip

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(PIECES), st.binary(max_size=20))),
    max_size=6,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def examples(usual: int) -> int:
    """Return how many examples a fuzzing test tries: the usual number, or more where REPROTUNE_FUZZ_CASES says so."""
    return max(usual, int(os.environ.get("REPROTUNE_FUZZ_CASES", "0")))


def cases(usual: int) -> settings:
    """Return the settings of a test of that many examples, always the same ones."""
    return settings(
        max_examples=examples(usual),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def edited(content: bytes, changes: list[tuple[float, int, bytes]], within: int | None = None) -> bytes:
    """Replace, at some places (of the first `within` bytes), some bytes by others."""
    for place, removed, piece in changes:
        start = int(place * (len(content) if within is None else min(within, len(content))))
        content = content[:start] + piece + content[start + removed :]
    return content

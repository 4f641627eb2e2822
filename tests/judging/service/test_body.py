"""Bodies of replies: bounded, and read as JSON without a guess."""

import threading
import time
from typing import Any

import pytest

from reprotune.judging.service.body import LARGEST_BODY, SMALL_BODY, Bodies, TooLargeError, parsed


class Response:
    """Has `size` bytes, and tells which responses are larger than small at the same time."""

    def __init__(self, size: int, large: set["Response"], most: list[int]) -> None:
        self.left = size
        self.size = size
        self.large = large
        self.most = most

    def read1(self, amount: int, decode_content: bool) -> bytes:
        piece = bytes(min(amount, self.left))
        if self.size - self.left > SMALL_BODY:
            self.large.add(self)
            self.most.append(len(self.large))
            time.sleep(0.001)
        self.left -= len(piece)
        return piece


def soon() -> float:
    return time.monotonic() + 20


@pytest.mark.parametrize(("size", "most"), [(8 * SMALL_BODY, 1), (SMALL_BODY, 0)])
def test_one_large_body_is_held_at_a_time(size: int, most: int) -> None:
    bodies = Bodies()
    large: set[Response] = set()
    seen: list[int] = [0]
    lengths = []

    def work() -> None:
        for _ in range(3):
            response: Any = Response(size, large, seen)
            with bodies.read(response, soon()) as body:
                lengths.append(len(body))
                large.discard(response)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [size] * 24
    assert max(seen) == most


def test_a_body_that_is_too_large_leaves_the_way_free() -> None:
    bodies = Bodies()
    for size in (LARGEST_BODY + 1, LARGEST_BODY):
        response: Any = Response(size, set(), [])
        try:
            with bodies.read(response, soon()) as body:
                assert len(body) == size == LARGEST_BODY
        except TooLargeError:
            assert size > LARGEST_BODY


def test_nobody_waits_for_another_body_beyond_the_deadline() -> None:
    bodies = Bodies()
    first: Any = Response(2 * SMALL_BODY, set(), [])
    second: Any = Response(2 * SMALL_BODY, set(), [])
    with (
        bodies.read(first, soon()),
        pytest.raises(TimeoutError),
        bodies.read(second, time.monotonic() + 0.05),
    ):
        pytest.fail("two large bodies are held")


def test_a_byte_that_is_not_utf8_is_no_reply() -> None:
    """Replaced by U+FFFD, it would turn a score of 85 into one of 8 or 5."""
    with pytest.raises(ValueError, match="utf-8"):
        parsed(b'{"message": {"content": "score: 8\xb5"}}')


def test_halves_of_surrogate_pairs_become_what_a_file_can_hold() -> None:
    found = parsed(rb'{"a": "8\ud800", "b": "\ud83d\ude00", "c": ["\udfff", 1.5, null, "\\ud800"]}')
    assert found == {"a": "8\ufffd", "b": "\U0001f600", "c": ["\ufffd", 1.5, None, "\\ud800"]}


@pytest.mark.parametrize("text", [b'{"a": "\\ud8"}', b'"\\ud83d', b'"\\ud83"}'])
def test_half_an_escape_stays_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"escape|Unterminated"):
        parsed(text)

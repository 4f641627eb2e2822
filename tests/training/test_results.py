"""What a run reports about itself."""

import resource
import sys
from types import SimpleNamespace

import pytest

from reprotune.training import results


@pytest.mark.parametrize(("platform", "expected"), [("linux", 3 * 1024), ("darwin", 3)])
def test_peak_memory_is_in_bytes_on_every_system(platform: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3))
    assert results._peak_resident_bytes() == expected

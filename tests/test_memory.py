"""What a block may take is limited, where the system can do that, and only for the block."""

import resource
import subprocess
import sys

import pytest

from reprotune.memory import STATM, limited_memory

MEGABYTE = 1 << 20


LIMITED = """
import resource
from reprotune.memory import limited_memory

before = resource.getrlimit(resource.RLIMIT_AS)
with limited_memory(100 << 20) as own:
    assert own and len(bytes(50 << 20)) == 50 << 20
try:
    with limited_memory(100 << 20):
        bytes(200 << 20)
except MemoryError:
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    print("no more")
"""
"""In a process of its own: one that has run long may find 200 MB among what it had freed."""


@pytest.mark.skipif(not STATM.exists(), reason="only Linux limits memory")
def test_a_block_gets_what_it_is_given_and_no_more() -> None:
    ran = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert ran.stdout == "no more\n", ran.stderr


@pytest.mark.skipif(not STATM.exists(), reason="only Linux limits memory")
def test_a_stricter_limit_of_the_system_stays() -> None:
    with limited_memory(64 * MEGABYTE):
        outer = resource.getrlimit(resource.RLIMIT_AS)
        with limited_memory(1024 * MEGABYTE) as own:
            assert not own and resource.getrlimit(resource.RLIMIT_AS) == outer
        with limited_memory(32 * MEGABYTE) as own:
            assert own


def test_where_the_system_does_not_tell_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprotune.memory.STATM", STATM / "none")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(0) as own:
        assert not own and resource.getrlimit(resource.RLIMIT_AS) == before

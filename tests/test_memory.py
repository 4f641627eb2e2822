"""What a block may take is limited, where the system can do that, and only for the block."""

import resource

import pytest

from reprotune.memory import STATM, limited_memory

MEGABYTE = 1 << 20


@pytest.mark.skipif(not STATM.exists(), reason="only Linux limits memory")
def test_a_block_gets_what_it_is_given_and_no_more() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(100 * MEGABYTE) as own:
        assert own and len(bytes(50 * MEGABYTE)) == 50 * MEGABYTE
    with pytest.raises(MemoryError), limited_memory(100 * MEGABYTE):
        bytes(200 * MEGABYTE)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


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

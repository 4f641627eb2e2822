"""A limit on the memory that a block of code may take, for what reads or runs things that others have made."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATM = Path("/proc/self/statm")


@contextmanager
def limited_memory(size: int) -> Iterator[bool]:
    """Let the block take `size` bytes more than the process has, where the system can limit that (Linux).

    Beyond, Python and the libraries raise `MemoryError`. Yields whether it would be this limit that is reached, and not
    a stricter one of the system's.
    """
    limits = resource.getrlimit(resource.RLIMIT_AS)
    known = [limit for limit in limits if limit != resource.RLIM_INFINITY]
    taken = _address_space()
    try:
        if taken is not None:
            resource.setrlimit(resource.RLIMIT_AS, (min([taken + size, *known]), limits[1]))
        yield taken is not None and all(taken + size <= limit for limit in known)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _address_space() -> int | None:
    """Return the bytes of address space that this process has; null where the system does not tell."""
    try:
        return int(STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return None

"""Freed memory stays with the process: a training step's buffers are reused instead of returned to the system.

glibc gives every large block straight back to the kernel (`munmap`), so each tensor of tens of megabytes is paged in
and zeroed anew at each step: over a fifth of the time of a GPT-2 step on a CPU with fast matrix products.
"""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Names and numbers as in glibc's malloc.h (mallopt(3))."""


def keep_freed_memory() -> bool:
    """Ask the C library to serve every size from its heap and never to shrink it; for a process that trains or decodes.

    Returns whether it did: there is nothing to ask on macOS or with musl.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))

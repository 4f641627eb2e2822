"""Keeping freed memory in the process, so that a training step reuses its buffers instead of asking the system anew.

glibc returns every large block to the kernel at once (`munmap`), so each tensor of tens of megabytes is paged in and
zeroed again at every step: over a fifth of the time of a GPT-2 step on a CPU with fast matrix products.
"""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Names and numbers as in glibc's malloc.h (mallopt(3))."""


def keep_freed_memory() -> bool:
    """Make the C library serve every size from its heap and never shrink it; for processes that train or decode.

    Returns whether it could: macOS and musl have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))

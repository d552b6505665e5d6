"""Keep freed memory instead of giving it back to the system after every batch.

The C library returns a large block as soon as it is freed, and the system hands out zeroed pages
again at the next batch. For batches and activations of tens of megabytes that costs more than the
arithmetic: on two cores, normalising 64 images of 224 pixels took 12 ms with it and 3 without,
and an epoch of ResNet-18 took a third longer.
"""

import ctypes
import sys
from functools import cache

# <malloc.h>: the parameters of mallopt.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
LARGE = 2**31 - 1  # bytes; the largest that mallopt takes


@cache
def keep_freed_memory() -> bool:
    """Tell the C library so, once a process; return whether it could be told (glibc only)."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    told = [mallopt(MMAP_THRESHOLD, LARGE), mallopt(TRIM_THRESHOLD, LARGE)]
    return all(told) and bool(mallopt(TOP_PAD, 64 << 20))

"""Memory freed by large tensors: kept for the next step, or returned to the system."""

import ctypes

# names and numbers of malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory in this process instead of giving it back after every large tensor.

    By default each tensor above 32 MB, and many above 128 kB, is mapped, zeroed page by page and unmapped again, which
    costs the largest layers of a training step on the CPU up to 40 % of their time (benchmarks/kept_memory.py). The
    price: the process stays as large as it ever was, and holes between large tensors make it a few times larger than
    what it uses at once.

    Returns:
        Whether anything was changed: False without glibc, where other allocators do this on their own.
    """
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20})


def give_back_freed_memory() -> bool:
    """Let glibc give every tensor from 16 MB on back to the system when it is freed, and at once.

    By default it learns from the first of them to keep those up to 32 MB, in a heap whose holes soon are half as large
    again as all that is in use (benchmarks/streaming_memory.py). The price is time, see `keep_freed_memory`.

    Returns:
        Whether anything was changed: False without glibc.
    """
    return _set({_M_MMAP_THRESHOLD: 16 * 2**20})


def _set(settings: dict[int, int]) -> bool:
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
        _ = libc.gnu_get_libc_version
    except (OSError, TypeError, AttributeError):
        return False
    answers = [mallopt(name, value) for name, value in settings.items()]
    return all(answers)

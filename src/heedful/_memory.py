"""Large tensors without a call to the system: what one step frees, the next one uses."""

import ctypes

# names and numbers of malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory in this process instead of giving it back after every large tensor.

    By default each tensor above 32 MB, and many above 128 kB, is mapped, zeroed page by page and unmapped again, which
    costs the largest layers of a training step on the CPU up to 40 % of their time (benchmarks/kept_memory.py). The
    price: the process stays as large as it ever was, and holes between large tensors make it a few times larger than
    what it uses at once.

    Returns:
        Whether anything was changed: False without glibc, where other allocators do this on their own.
    """
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
        _ = libc.gnu_get_libc_version
    except (OSError, TypeError, AttributeError):
        return False
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20}
    answers = [mallopt(name, value) for name, value in settings.items()]
    return all(answers)

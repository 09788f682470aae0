"""Slices of one call on `torch.get_num_threads()` threads: kernels run without the interpreter lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch

# A thread is asked for help with no less than this much work; a hand-over costs about as much as 0.1 of it.
_SHARE = 1 << 21


@cache
def _workers(process: int, count: int) -> ThreadPoolExecutor:
    """Threads of one process: a fork copies none of them, so a child makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix=f"heedful-{process}")


def share(kernel: Callable[..., Any], args: tuple[Any, ...], count: int, work: int) -> list[Any]:
    """Call `kernel(*args, start, stop)` over slices of `range(count)`, and return what each slice returned.

    Args:
        kernel: compiled, without the interpreter lock; slices do not touch each other's results.
        args: its other arguments.
        count: what is sliced.
        work: cost of the whole, in terms of the inner loop.
    """
    threads = min(torch.get_num_threads(), count, work // _SHARE)
    if threads < 2:
        return [kernel(*args, 0, count)] if count else []
    bounds = [count * i // threads for i in range(threads + 1)]
    pool = _workers(os.getpid(), threads - 1)
    others = [pool.submit(kernel, *args, *slice_) for slice_ in pairwise(bounds[1:])]
    try:
        own = kernel(*args, bounds[0], bounds[1])
    finally:
        # The others write to memory that the caller would free.
        found = [other.result() for other in others]
    return [own, *found]

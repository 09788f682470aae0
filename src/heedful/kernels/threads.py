"""Slices of one call on `torch.get_num_threads()` threads: kernels run without the interpreter lock.

The threads are those of PyTorch's own OpenMP. Between two operators they stay awake for a while and hold the other
cores: threads of ours would find no core free, and were measured to run one after the other. After a fork OpenMP's
threads are gone and cannot be called again; a child makes threads of its own.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

# A thread is asked for help with no less than this much work; a hand-over costs about a quarter of it.
_SHARE = 1 << 20
_Slice = tuple[int, int]
_callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_home = os.getpid()
_compiled: set[tuple[Any, ...]] = set()


@cache
def _openmp() -> ctypes.CDLL | None:
    """The OpenMP library that PyTorch is linked to, found through PyTorch's; None where it has another interface."""
    try:
        library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"))))
        library.GOMP_parallel.argtypes = [_callback, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        library.omp_get_thread_num.restype = library.omp_get_num_threads.restype = ctypes.c_int
    except (OSError, AttributeError, StopIteration):
        return None
    return library


@cache
def _workers(process: int, count: int) -> ThreadPoolExecutor:
    """Threads of one process: a fork copies none of them, so a child makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix=f"heedful-{process}")


def _by_openmp(library: ctypes.CDLL, run: Callable[[int, int], Any], slices: list[_Slice]) -> list[Any]:
    found: list[Any] = [None] * len(slices)
    faults: list[BaseException] = []

    @_callback
    def body(_: Any) -> None:
        # OpenMP may grant fewer threads than were asked for.
        for index in range(library.omp_get_thread_num(), len(slices), library.omp_get_num_threads()):
            try:
                found[index] = run(*slices[index])
            except BaseException as fault:
                faults.append(fault)

    library.GOMP_parallel(body, None, len(slices), 0)
    if faults:
        raise faults[0]
    return found


def _by_workers(run: Callable[[int, int], Any], slices: list[_Slice]) -> list[Any]:
    pool = _workers(os.getpid(), len(slices) - 1)
    others = [pool.submit(run, *slice_) for slice_ in slices[1:]]
    try:
        own = run(*slices[0])
    finally:
        # The others write to memory that the caller would free.
        found = [other.result() for other in others]
    return [own, *found]


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
    kind = kernel, *map(type, args)
    if kind not in _compiled:
        # A compiler wants the deep stack of the calling thread.
        kernel(*args, 0, 0)
        _compiled.add(kind)
    slices = list(pairwise(count * i // threads for i in range(threads + 1)))
    library = _openmp() if os.getpid() == _home else None

    def run(start: int, stop: int) -> Any:
        return kernel(*args, start, stop)

    return _by_workers(run, slices) if library is None else _by_openmp(library, run, slices)

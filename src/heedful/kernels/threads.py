"""Jobs: a compiled kernel, a record of numbers, and `torch.get_num_threads()` threads that take slices of the work.

A kernel is a C function of one argument, the address of the record. It takes slices until none is left, so a thread
that starts late or is disturbed takes fewer. No thread needs the interpreter: starting a job on two costs 2 us.

The threads are those of PyTorch's own OpenMP. Between two operators they keep spinning for a while and hold the other
cores: threads of ours would find no core free, and were measured to run one after the other. After a fork OpenMP's
threads are gone and cannot be called again; a child makes threads of its own.
"""

import ctypes
import os
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heedful import _refusals

# Numbers at the head of a record: the next slice, what is sliced, how much of it at a time, what the kernel found.
HEAD = 4
FOUND = 3
# A thread is asked for help with no less than this much work: some ten times what the hand-over costs.
_SHARE = 1 << 19
# Slices for each thread.
_SLICES = 8
_home = os.getpid()


class Kernel:
    """Compiled code that does a job.

    Attributes:
        body: what Numba compiled; has `address`.
        call: the same for Python, without the interpreter lock.
    """

    def __init__(self, body: Any) -> None:
        self.body = body
        self.address: int = body.address
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.address)


@cache
def _openmp() -> Any:
    """`GOMP_parallel` of the OpenMP that PyTorch is linked to, or None where that has another interface."""
    try:
        library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"))))
        parallel = library.GOMP_parallel
    except (OSError, AttributeError, StopIteration):
        return None
    parallel.argtypes, parallel.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return parallel


@cache
def _workers(process: int, count: int) -> ThreadPoolExecutor:
    """Threads of one process: a fork copies none of them, so a child makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix=f"heedful-{process}")


def address(tensor: Tensor | None) -> int:
    """Where a contiguous tensor begins, for a kernel's record; 0 for none.

    The only way from a tensor to a kernel: what is not in this process' memory would end the process.

    Raises:
        ValueError: the tensor is not on the CPU.
    """
    if tensor is None:
        return 0
    if not tensor.is_cpu:
        raise _refusals.not_on_cpu(tensor.shape, tensor.device)
    return tensor.data_ptr()


def share(kernel: Kernel, numbers: tuple[int, ...], count: int, work: int, least: int = 1) -> int:
    """Do a job on as many threads as it is worth, and return what the kernel left in its record.

    Args:
        kernel: compiled; slices do not touch each other's results.
        numbers: the record after its head; addresses, sizes and marks.
        count: what is sliced.
        work: cost of the whole, in terms of the inner loop.
        least: the smallest slice that is no waste; smaller ones are made only to employ every thread.
    """
    threads = min(torch.get_num_threads(), count, work // _SHARE)
    chunk = count if threads < 2 else max(-(-count // (threads * _SLICES)), min(least, -(-count // threads)))
    job = array("q", (0, count, chunk, 0, *numbers))
    record, _ = job.buffer_info()
    if threads < 2:
        kernel.call(record)
    else:
        _together(kernel, record, threads)
    return job[FOUND]


def _together(kernel: Kernel, record: int, threads: int) -> None:
    parallel = _openmp() if os.getpid() == _home else None
    if parallel is not None:
        parallel(kernel.address, record, threads, 0)
        return
    pool = _workers(os.getpid(), threads - 1)
    others = [pool.submit(kernel.call, record) for _ in range(threads - 1)]
    try:
        kernel.call(record)
    finally:
        # The others write to memory that the caller would free.
        for other in others:
            other.result()

"""Batches decoded side by side on a CPU, a thread for each: the many small steps of one keep no second thread busy."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Found = TypeVar("Found")


def side_by_side(decode: Callable[[Batch], Found], batches: Sequence[Batch], workers: int) -> Iterator[Found]:
    """What `decode` makes of each batch, in their order.

    Args:
        decode: what it makes of a batch must not depend on those before.
        batches: what is decoded; under the autocast of the caller.
        workers: threads, which share `torch.get_num_threads()` out among their products.

    >>> list(side_by_side(lambda batch: -batch, [3, 1, 2], workers=2))
    [-3, -1, -2]
    """
    threads, workers = torch.get_num_threads(), min(workers, len(batches))
    if workers < 2:
        yield from map(decode, batches)
        return
    half, enabled = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

    def one(batch: Batch) -> Found:
        with torch.autocast("cpu", half, enabled):
            return decode(batch)

    with ThreadPoolExecutor(workers, "heedful-decoding", take_threads, (max(1, threads // workers), threads)) as pool:
        # where one fails, or nobody wants the rest, those that have not begun are dropped
        yield from pool.map(one, batches)


def take_threads(count: int, whole: int) -> None:
    """Give the products of the calling thread so many threads, and those of threads yet to come the whole number.

    Args:
        count: of the calling thread, which is one made for this.
        whole: of others.

    >>> with ThreadPoolExecutor(1, initializer=take_threads, initargs=(1, torch.get_num_threads())) as pool:
    ...     pool.submit(torch.get_num_threads).result()
    1
    """
    # at its first use in a thread, torch would take the number of all others
    torch.get_num_threads()
    torch.set_num_threads(count)
    # what torch was told last holds for new threads, whoever told it
    last = Thread(target=torch.set_num_threads, args=(whole,))
    last.start()
    last.join()

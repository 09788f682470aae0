"""Sentences of all requests wait in one queue; threads take batches of them, and decode these side by side."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from heedful.tasks.decoding_batches import SENTENCES_PER_BATCH, TOKENS_PER_BATCH
from heedful.tasks.decoding_threads import take_threads

from .limits import Limits
from .refusal import RefusalError
from .requests import Order

if TYPE_CHECKING:
    from heedful.tasks.decoding_options import DecodingOptions
    from heedful.tasks.translated import Translation
    from heedful.tasks.translator import Translator

    Found = list[list[Translation]]


# of the time of a batch, what may be waited before the next for clients that were just answered and ask again
PATIENCE = 0.3
# by how much the window is longer while another batch is decoded: its threads hold up those who would come
BESIDE_ANOTHER = 4
# where threads are idle, waiting sentences are shared out among them, but in no smaller batches
SMALLEST_SHARE = 16


@dataclass(eq=False)
class _Request:
    """A request that waits: its reply is whole when none of its sentences is left."""

    order: Order
    key: object
    found: list
    left: int
    since: float
    future: "Future[Found]" = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class _Sentence:
    text: str
    tokens: int
    place: int
    request: _Request


class Batcher:
    """Decodes what requests submit: the oldest sentence next, with others that are like it in options and length.

    Args:
        translator: who translates, `translator.workers` batches side by side.
        limits: the length of the queue, and how long to wait for more.
        decoding: that of the first batch, which nobody waits for.
        decoded: is told sentences, tokens and seconds of each batch.
    """

    def __init__(
        self,
        translator: "Translator",
        limits: Limits,
        decoded: Callable[[int, int, float], None] = lambda *_: None,
        decoding: "DecodingOptions | None" = None,
    ) -> None:
        self._translator, self._limits, self._decoded, self._first = translator, limits, decoded, decoding
        self._queue: deque[_Sentence] = deque()
        # of all below, and of what is found of a request
        self._changed = threading.Condition()
        self._open, self._busy = True, 0
        # of one sentence, a running mean; of the last batch; and when it ended, and the last sentences came
        self._seconds, self._took, self._ended, self._came = 0.01, 0.0, 0.0, 0.0
        self._cores = max(torch.get_num_threads(), translator.workers)
        self._threads = [
            threading.Thread(target=self._work, name=f"heedful-model-{number}", daemon=True)
            for number in range(translator.workers)
        ]

    def start(self) -> None:
        """Translate a batch first, which compiles what is to be compiled; from then on, whatever is submitted."""
        self._translator.translate(["a"] * SENTENCES_PER_BATCH, decoding=self._first)
        for thread in self._threads:
            thread.start()

    @property
    def model(self) -> str:
        """The name of what is served."""
        return self._translator.recipe.name

    @property
    def ready(self) -> bool:
        """Whether sentences can be submitted."""
        return self._open and all(thread.is_alive() for thread in self._threads)

    def waiting(self) -> int:
        """How many sentences are in the queue."""
        return len(self._queue)

    def submit(self, texts: Sequence[str], order: Order) -> "Future[Found]":
        """The future translations of each sentence; a future that is cancelled takes its sentences out of the queue.

        Raises:
            RefusalError: the queue is full, or closed.
        """
        lengths = [len(self._translator.tokenizers.source.encode(text)) for text in texts]
        request = _Request(order, order.key, [None] * len(texts), len(texts), time.monotonic())
        sentences = [_Sentence(*one, place, request) for place, one in enumerate(zip(texts, lengths, strict=True))]
        with self._changed:
            if not self._open:
                raise RefusalError(503, "The server is stopping; ask another one.", retry_after=5)
            if len(self._queue) + len(texts) > self._limits.queue:
                self._forget()
            if len(self._queue) + len(texts) > self._limits.queue:
                wait = max(1, math.ceil(self._seconds * len(self._queue) / len(self._threads)))
                raise RefusalError(
                    503,
                    f"{len(self._queue):,} sentences wait, and the queue holds {self._limits.queue:,}; try later.",
                    retry_after=wait,
                )
            self._queue.extend(sentences)
            self._came = time.monotonic()
            self._changed.notify_all()
        return request.future

    def close(self) -> None:
        """Finish what is queued, take nothing new, and end the threads."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _work(self) -> None:
        """Decode batches until the queue is closed and empty; who works alone has the cores of the others, too."""
        while batch := self._next():
            with self._changed:
                waiting = math.ceil(len(self._queue) / SENTENCES_PER_BATCH)
                cores = self._cores // min(self._busy + waiting, len(self._threads))
            if cores != torch.get_num_threads():
                take_threads(cores, self._cores)
            self._decode(batch)
            with self._changed:
                self._busy -= 1

    def _next(self) -> list[_Sentence]:
        """The next batch; nothing when the queue is closed and empty."""
        with self._changed:
            while True:
                batch = self._head()
                if not batch and not self._open:
                    return []
                wait = self._patience(batch[0].request.since) if batch else None
                # others wait behind a batch that is full, or is decoded otherwise, or is a share
                whole = len(batch) >= SENTENCES_PER_BATCH or len(batch) < len(self._queue)
                if wait is not None and (wait <= 0 or whole or not self._open):
                    break
                self._changed.wait(wait)
            taken = set(batch)
            self._queue = deque(one for one in self._queue if one not in taken)
            self._busy += 1
            return batch

    def _patience(self, since: float) -> float:
        """How long to wait for more: until nothing has come for the window, and not much beside the time of a batch."""
        window = self._limits.window * (BESIDE_ANOTHER if self._busy else 1)
        began = max(since, self._ended)
        until = min(max(began, self._came) + window, began + max(window, PATIENCE * self._took))
        return until - time.monotonic()

    def _head(self) -> list[_Sentence]:
        """The oldest sentence and those nearest to it in length that are decoded alike, as many as a batch holds."""
        self._forget()
        if not self._queue:
            return []
        first = self._queue[0]
        alike = [one for one in self._queue if one.request.key == first.request.key]
        if first.request.order.generator:
            # draws depend on those before: the translator makes the batches, one after the other
            return alike
        share = math.ceil(len(alike) / (len(self._threads) - self._busy))
        most = min(max(share, SMALLEST_SHARE), SENTENCES_PER_BATCH)
        batch, longest = [], 0
        for one in sorted(alike, key=lambda one: abs(one.tokens - first.tokens)):
            longest = max(longest, one.tokens)
            if batch and longest * (len(batch) + 1) > TOKENS_PER_BATCH:
                break
            batch.append(one)
        return batch[:most]

    def _forget(self) -> None:
        """Take out what nobody waits for any more."""
        self._queue = deque(one for one in self._queue if not one.request.future.done())

    def _decode(self, batch: Sequence[_Sentence]) -> None:
        """Translate a batch and hand out what was found; where that fails, each request is tried alone."""
        began = time.monotonic()
        order = batch[0].request.order
        try:
            found = self._translator.translate(
                [one.text for one in batch],
                decoding=order.decoding,
                nbest=order.nbest,
                need_weights=order.need_weights,
                generator=order.generator,
            )
        except BaseException as error:  # a panic of a Rust library is not an Exception
            requests = list(dict.fromkeys(one.request for one in batch))
            if len(requests) == 1:
                with self._changed:
                    _settle(requests[0], error)
            else:
                for request in requests:
                    self._decode([one for one in batch if one.request is request])
            return
        ended = time.monotonic()
        self._decoded(len(batch), len(batch) * max(one.tokens for one in batch), ended - began)
        with self._changed:
            self._ended, self._took = ended, ended - began
            self._seconds += 0.1 * (self._took / len(batch) - self._seconds)
            for one, translations in zip(batch, found, strict=True):
                one.request.found[one.place] = translations
                one.request.left -= 1
                if not one.request.left:
                    _settle(one.request)


def _settle(request: _Request, error: BaseException | None = None) -> None:
    """Answer a request, unless nobody waits for it any more."""
    if request.future.done() or not request.future.set_running_or_notify_cancel():
        return
    if error is None:
        request.future.set_result(request.found)
    else:
        request.future.set_exception(error)

"""What a server counts, as Prometheus reads it."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SENTENCES = (1, 2, 4, 8, 16, 32, 64)
_TOKENS = (8, 32, 128, 512, 1024, 2048, 4096)


class Metrics:
    """The numbers of one server; none is shared with another in the same process.

    Args:
        queue: says how many sentences wait.

    >>> numbers = Metrics(queue=lambda: 3)
    >>> numbers.replied("/health", 200, seconds=0.001)
    >>> b"heedful_queue_sentences 3.0" in numbers.text()
    True
    """

    def __init__(self, queue: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        here: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter("heedful_requests", "Requests by path and status.", ["path", "status"], **here)
        self._seconds = Histogram(
            "heedful_request_seconds", "From the headers of a request to its reply.", ["path"], buckets=_SECONDS, **here
        )
        self._sentences = Histogram(
            "heedful_batch_sentences", "Sentences decoded together.", buckets=_SENTENCES, **here
        )
        self._tokens = Histogram(
            "heedful_batch_tokens", "Source tokens decoded together, padding included.", buckets=_TOKENS, **here
        )
        self._decoding = Counter("heedful_decoding_seconds", "Seconds of all threads with the model.", **here)
        Gauge("heedful_queue_sentences", "Sentences that wait for the model.", **here).set_function(queue)

    def replied(self, path: str, status: int, seconds: float) -> None:
        """A request was answered; 499 is the status of one whose client has left."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def decoded(self, sentences: int, tokens: int, seconds: float) -> None:
        """A batch was decoded."""
        self._sentences.observe(sentences)
        self._tokens.observe(tokens)
        self._decoding.inc(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

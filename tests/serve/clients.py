"""A server in a thread of this process, and clients that speak HTTP to it through sockets."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from heedful.serve.limits import Limits
from heedful.tasks.decoding_batches import SENTENCES_PER_BATCH
from heedful.tasks.translator import Translator

# without the extra `serve` there is nothing to test
for package in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(package)

JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    """What a server replied."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks to a server at a port, one connection a request."""

    port: int
    server: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, body: Any = None, method: str = "", headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {**(JSON if data is not None else {}), **self.headers, **(headers or {})}
        connection.request(method or ("GET" if data is None else "POST"), path, data, given)
        reply = connection.getresponse()
        answer = Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        connection.close()
        return answer

    def translate(self, text: Any, **options: Any) -> Answer:
        return self.ask("/translate", {"text": text, **options})

    def together(self, asked: list[dict]) -> list[Answer]:
        """All of these requests at once, each from a thread of its own."""
        answers: list[Any] = [None] * len(asked)

        def ask(place: int) -> None:
            answers[place] = self.ask("/translate", asked[place])

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(asked))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return answers

    def number(self, name: str, **labels: str) -> float:
        """One of the metrics."""
        from prometheus_client.parser import text_string_to_metric_families

        text = self.ask("/metrics").body.decode()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


# what the server translates before it is ready
WARM = ["a"] * SENTENCES_PER_BATCH


class Paced:
    """The translator of a test, which works only while `go` is set, and fails at the word "poison"."""

    def __init__(self, translator: Translator, workers: int = 1) -> None:
        self.translator, self.go, self.calls = translator, threading.Event(), []
        self.recipe, self.tokenizers, self.search = translator.recipe, translator.tokenizers, translator.search
        self.workers, self.before = workers, lambda: None
        self.go.set()

    def translate(self, sentences: list[str], **options: Any) -> Any:
        self.before()
        self.calls.append(list(sentences))
        assert self.go.wait(20)
        if "poison" in sentences:
            raise RuntimeError("out of order")
        return self.translator.translate(sentences, **options)


def listening_at(host: str, port: int, token: str | None) -> socket.socket:
    """See `listen`."""
    from heedful.serve.server import listen

    return listen(host, port, token)


@contextmanager
def serving(translator: Any, limits: Limits | None = None, token: str | None = None):
    """A client of a server that runs until the end of the block."""
    from heedful.serve.app import create_app
    from heedful.serve.server import Server

    limits = limits or Limits()
    server = Server(create_app(translator, limits=limits, token=token), limits)
    with listening_at("127.0.0.1", 0, token) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Client(port, server)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def until(holds, seconds: float = 10.0) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)

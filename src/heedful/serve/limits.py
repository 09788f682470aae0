"""What a server takes, and for how long: everything that a client could ask too much of."""

from dataclasses import dataclass

from heedful._errors import HeedfulError

# connections open at once; more are answered with 503
MOST_CONNECTIONS = 512
# for the request line and the headers, and then for a reply to be taken
SECONDS_FOR_HEADERS = SECONDS_FOR_REPLY = 10.0


@dataclass(frozen=True)
class Limits:
    """Limits of a server, each with a name that its refusal says.

    Args:
        body: bytes of a request.
        sentences: of a request.
        chars: characters of a sentence.
        hypotheses: of a sentence; of the beam, of `n_best` and of `risk_draws`.
        phrases: that a request requires, and that it bans; each is sought at every step.
        numbers: that a reply may hold as weights, where alignments are asked for; 20 bytes each, about.
        queue: sentences that wait for the model, all requests together.
        window: seconds that the model waits for one more request, where it has no full batch.
        upload: seconds in which the body of a request has to arrive.
        answer: seconds in which a request has to be translated.

    Raises:
        HeedfulError: a number out of range, or a queue that a single request could overflow.

    >>> Limits(sentences=64).queue
    1024
    """

    body: int = 1_000_000
    sentences: int = 256
    chars: int = 5000
    hypotheses: int = 32
    phrases: int = 256
    numbers: int = 1_000_000
    queue: int = 1024
    window: float = 0.005
    upload: float = 10.0
    answer: float = 60.0

    def __post_init__(self) -> None:
        for name in ("body", "sentences", "chars", "hypotheses", "phrases", "numbers", "queue", "upload", "answer"):
            if not 0 < getattr(self, name) < float("inf"):
                raise HeedfulError(f"the limit {name} is {getattr(self, name)}; use a number above 0")
        if not 0 <= self.window <= 1:
            raise HeedfulError(f"the window is {self.window} s; use 0 (wait for nobody) to 1")
        if self.sentences > self.queue:
            raise HeedfulError(
                f"a request may have {self.sentences} sentences, but the queue holds {self.queue}; lengthen the queue"
            )

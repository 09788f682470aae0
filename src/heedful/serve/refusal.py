"""A request that is not answered: the status, and one sentence that says why."""

from starlette.responses import JSONResponse

from heedful._errors import HeedfulError


class RefusalError(HeedfulError):
    """What a client is told in place of an answer.

    Args:
        status: of HTTP.
        sentence: what came, what was expected, the way out.
        retry_after: seconds after which it may go better.
        headers: further ones of the reply; `_` in a name stands for `-`.

    >>> RefusalError(503, "The queue is full.", retry_after=2).response().headers["retry-after"]
    '2'
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)

    def response(self) -> JSONResponse:
        """The reply: `{"detail": sentence}`."""
        return JSONResponse({"detail": str(self)}, self.status, self.headers)

"""What every request passes before the application sees it: host, token, type, size and time of its body."""

import asyncio
import secrets
import time
from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import Limits
from .metrics import Metrics
from .refusal import RefusalError

# what nginx calls a client that did not wait for its answer
LEFT = 499
WITH_BODY = ("POST", "PUT", "PATCH")


class Gate:
    """Refuse what needs no look at the content, hand on the rest with its body whole, and count both.

    Args:
        app: what is behind it.
        limits: of the body.
        metrics: is told of every reply.
        paths: that are counted by name; others together.
        token: what a client must know for what is not open; None lets everyone in who calls this machine by a name of
            its own, so that a page of somebody else's making cannot ask through a reader's browser.
        open_paths: that need no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        paths: Collection[str],
        token: str | None = None,
        open_paths: Collection[str] = (),
    ) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, paths
        self._token, self._open_paths = token, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.monotonic()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, note)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.replied(path, status, time.monotonic() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_caller(scope["path"], headers)
            body = await self._body(headers, receive) if scope["method"] in WITH_BODY else b""
        except RefusalError as refusal:
            # what was not read of the body is no next request
            refusal.headers["connection"] = "close"
            await refusal.response()(scope, receive, send)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    def _check_caller(self, path: str, headers: Headers) -> None:
        """Refuse who may not ask."""
        if self._token is None:
            if not is_own_name(headers.get("host", "")):
                raise RefusalError(
                    421,
                    "This server answers to localhost, 127.0.0.1 and [::1] only; ask for one of them, or set a token.",
                )
        elif path not in self._open_paths:
            kind, _, given = headers.get("authorization", "").partition(" ")
            same = secrets.compare_digest(given.strip().encode("latin-1"), self._token.encode())
            if kind.lower() != "bearer" or not same:
                sentence = "The token is missing or wrong; send it in the header, Authorization: Bearer TOKEN."
                raise RefusalError(401, sentence, www_authenticate="Bearer")

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusalError(
                415, f"The content type is {kind or 'missing'}; send JSON, as Content-Type: application/json."
            )
        most = self._limits.body
        too_large = RefusalError(413, f"The body has more than {most:,} bytes; send the text in several requests.")
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._limits.upload):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusalError(LEFT, "The client has left.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            sentence = f"The body did not arrive within {self._limits.upload:g} seconds; send less, or faster."
            raise RefusalError(408, sentence) from None
        return bytes(body)


def is_own_name(host: str) -> bool:
    """Whether the header Host names this machine by its loopback, with or without a port.

    >>> [is_own_name(host) for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "example.org", "")]
    [True, True, True, False, False]
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False

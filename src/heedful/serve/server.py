"""uvicorn, with a deadline for slow clients and an orderly stop."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from heedful._errors import HeedfulError

from .limits import MOST_CONNECTIONS, SECONDS_FOR_HEADERS, SECONDS_FOR_REPLY, Limits


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address of this machine.
        port: 0 for any that is free.
        token: what clients must know; needed where others than this machine can connect.

    Raises:
        HeedfulError: others could connect without a token, or there is no such address, or it is taken.
    """
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        raise HeedfulError("the token is empty, or holds other than printable ASCII characters without spaces")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if token is None and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise HeedfulError(
                f"{host} lets other machines connect, so clients must know a token; set HEEDFUL_TOKEN, or listen on "
                "127.0.0.1"
            )
        return socket.create_server(address, family=family, backlog=2 * MOST_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        # a fault of the name, which may be none that a name can be, or of the port
        why = getattr(error, "strerror", None) or error
        raise HeedfulError(f"cannot listen on {host}, port {port}: {why}; choose another") from None


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Protocol(H11Protocol):
    """A connection that is closed when a request does not come, or does not come to its end, in time.

    While the application works, its own limits hold; the deadline here is for a client that does not take the reply.
    """

    seconds_for_request = 120.0
    _deadline: asyncio.TimerHandle | None = None
    _minded: object = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected: the headers are awaited."""
        super().connection_made(transport)
        self._mind()

    def data_received(self, data: bytes) -> None:
        """Something of a request has come."""
        super().data_received(data)
        self._mind()

    def on_response_complete(self) -> None:
        """The next request may come; until its first byte, uvicorn's own deadline holds."""
        self._forget()
        super().on_response_complete()
        if not self.cycle.response_complete:
            self._mind()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._forget()
        super().connection_lost(exc)

    def _mind(self) -> None:
        """Set the deadline of what is awaited now: one for all bytes of the headers, and one for each request."""
        idle = self.cycle is None or self.cycle.response_complete
        awaited = self if idle else self.cycle
        if awaited is not self._minded and not self.transport.is_closing():
            self._forget()
            seconds = SECONDS_FOR_HEADERS if idle else self.seconds_for_request
            self._deadline, self._minded = self.loop.call_later(seconds, self.transport.abort), awaited

    def _forget(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self._minded = None


class Server(uvicorn.Server):
    """Stops at the first signal: takes no more connections, answers what has come, and ends with exit code 0.

    Args:
        app: see `create_app`.
        limits: how long a request may take.
    """

    def __init__(self, app: Any, limits: Limits) -> None:
        longest = limits.upload + limits.answer + SECONDS_FOR_REPLY
        protocol = type("Protocol", (Protocol,), {"seconds_for_request": longest})
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(longest) + 1,
                log_level="error",
                access_log=False,
                server_header=False,
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal asks for an orderly stop, the second for one at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

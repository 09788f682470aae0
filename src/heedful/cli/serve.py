"""`heedful serve`: a translator behind HTTP, with a page to try it."""

from typing import Annotated, Any

import typer

from heedful._errors import HeedfulError

from ._decoding import Changes, changed_decoding, with_ensemble
from ._shell import Model, count, load_translator, say

EXAMPLES = (
    "heedful serve heedful-demo",
    "heedful serve heedful-demo --port 9000 --set decoding.beam=1",
    "HEEDFUL_TOKEN=... heedful serve heedful-demo --host 0.0.0.0",
)


def command(
    model: Model,
    host: Annotated[str, typer.Option(metavar="NAME", help="Where to listen; other than this machine: --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 for any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="HEEDFUL_TOKEN",
            show_envvar=False,
            help="What clients must know. Others on this machine see options: rather set HEEDFUL_TOKEN.",
        ),
    ] = None,
    sentences: Annotated[int, count("Most sentences of a request.")] = 256,
    queue: Annotated[int, count("Most sentences that wait, all requests together.")] = 1024,
    body: Annotated[int, count("Most bytes of a request.")] = 1_000_000,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="In which a request is answered.")] = 60.0,
    window: Annotated[float, typer.Option(metavar="MS", help="To wait for more requests, to decode together.")] = 5.0,
    changes: Changes = None,
) -> None:
    """Translate for whoever asks: POST /translate, and a page to try it at /.

    Requests that come together and are to be decoded alike are decoded together. /docs says what can be asked for,
    /health whether it works, /metrics how much (for Prometheus). What is asked too much is refused in one sentence; a
    full queue with 503 and Retry-After.

    The first Ctrl-C, or SIGTERM, stops: what has come is answered, nothing new is taken.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise HeedfulError(f"{error.name} is missing; pip install 'heedful[serve]'") from None
    from heedful.serve.limits import Limits
    from heedful.serve.server import listen

    limits = Limits(body=body, sentences=sentences, queue=queue, answer=timeout, window=window / 1000)
    # a port that is taken is found out before the model is loaded
    with listen(host, port, token) as listening:
        translator: Any = load_translator(model)
        decoding = changed_decoding(translator, changes or [], {})
        run(with_ensemble(translator, decoding), decoding, limits, token, listening)
    say("Stopped.")


def run(translator: Any, decoding: Any, limits: Any, token: str | None, listening: Any) -> None:
    """Serve until a signal comes."""
    import torch

    from heedful.serve.app import create_app
    from heedful.serve.server import Server, address_of

    # what the model cannot do is told at once, not to every client
    app = create_app(translator, decoding=decoding, limits=limits, token=token)
    translator.translate(["a"], decoding=decoding)
    # requests that draw without a seed draw otherwise every time
    torch.seed()
    say(f"Serving {translator.recipe.name} at {address_of(listening)}; Ctrl-C stops.")
    Server(app, limits).run(sockets=[listening])

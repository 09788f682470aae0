"""The application: its paths, and what each replies."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

import heedful
from heedful._errors import DataError, HeedfulError
from heedful.tasks.decoding_options import DecodingOptions
from heedful.tasks.translated import as_record

from .batcher import Batcher
from .gate import LEFT, Gate
from .limits import Limits
from .metrics import Metrics
from .pages import documentation, front_page
from .refusal import RefusalError
from .requests import EXAMPLE, TranslateRequest, first_fault, make_order

if TYPE_CHECKING:
    from heedful.tasks.translator import Translator

# whose replies say nothing about what anyone has translated
OPEN_PATHS = ("/", "/docs", "/openapi.json", "/health")
PATHS = (*OPEN_PATHS, "/translate", "/metrics")


class Said(BaseModel):
    """One translation."""

    text: str
    score: float = Field(description="What ranks it: log-probability by length, less penalties.")
    finished: bool = Field(description="Whether the model came to an end, not to the longest length.")
    tokens: list[str] | None = Field(
        None, description="As pieces; this and what follows where alignments are asked for."
    )
    log_probs: list[float] | None = Field(None, description="Of each token, the last that of the end.")
    source_words: list[str] | None = None
    words: list[str] | None = None
    weights: list[list[float]] | None = Field(
        None, description="Of each word, over the source words; null of a model without attention."
    )


class Best(Said):
    """The best translation of a sentence."""

    n_best: list[Said] | None = Field(None, description="All of them, best first, where several are asked for.")


class Reply(BaseModel):
    """The translations of each sentence, in order."""

    model: str
    translations: list[Best]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="One sentence: what came, what was expected, the way out.")


class Health(BaseModel):
    """How the server is."""

    status: str = Field(description="ready, or stopping.")
    model: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    408: {"model": Problem, "description": "The body was too slow."},
    413: {"model": Problem, "description": "The body is too large."},
    415: {"model": Problem, "description": "The content type is not application/json."},
    422: {"model": Problem, "description": "A value that cannot be used, or is above a limit."},
    503: {"model": Problem, "description": "The queue is full, or the answer took too long; see Retry-After."},
}


def create_app(
    translator: "Translator",
    *,
    decoding: DecodingOptions | None = None,
    limits: Limits | None = None,
    token: str | None = None,
) -> FastAPI:
    """The application that translates.

    Args:
        translator: who translates; used by threads of the application's own.
        decoding: how, where a request says nothing else; the recipe's own when left out.
        limits: of requests.
        token: what clients must know; None for loopback alone.

    Raises:
        HeedfulError: the model reads files, whose paths no client has a say in; `decoding` asks for what it cannot do.
    """
    if translator.recipe.task == "caption":
        raise HeedfulError(
            f"{translator.recipe.name} writes captions of files on this machine, which a server does not open for its "
            "clients; use heedful translate or explain"
        )
    limits, decoding = limits or Limits(), decoding or translator.recipe.decoding
    translator.search(decoding)
    name = translator.recipe.name
    metrics = Metrics(queue=lambda: batcher.waiting())
    batcher = Batcher(translator, limits, metrics.decoded, decoding)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(batcher.start)
        yield
        await run_in_threadpool(batcher.close)

    app = FastAPI(
        title=f"heedful: {name}",
        version=heedful.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers=HANDLERS,
    )
    app.add_middleware(Gate, limits=limits, metrics=metrics, paths=PATHS, token=token, open_paths=OPEN_PATHS)

    _add_translate(app, batcher, translator, decoding, limits)
    _add_state(app, batcher, metrics)
    pages = {"/": front_page(name), "/docs": documentation(app.openapi())}
    for path, page in pages.items():
        app.add_api_route(path, lambda page=page: HTMLResponse(page), include_in_schema=False)
    return app


def _add_translate(
    app: FastAPI, batcher: Batcher, translator: "Translator", decoding: DecodingOptions, limits: Limits
) -> None:
    """What the server is for."""

    @app.post(
        "/translate",
        response_model=Reply,
        response_description="The translations of each sentence.",
        responses=REFUSALS,
        description=f"Translate up to {limits.sentences} sentences of up to {limits.chars:,} characters. Left out, a "
        f"key of decoding is the server's own; beam, n_best and risk_draws go up to {limits.hypotheses}, lengths up to "
        f"{decoding.max_length}; banned and required hold up to {limits.phrases} phrases each.",
    )
    # pyright takes a model that is made at run time for no type
    async def translate(request: Request, asked: TranslateRequest) -> Any:  # pyright: ignore[reportInvalidTypeForm]
        def submit() -> "Future[Any]":
            return batcher.submit(*make_order(asked, translator, decoding, limits))

        found = await answer(await run_in_threadpool(submit), request, limits.answer)
        translations = [best_of(one, asked) for one in found]
        return JSONResponse({"model": translator.recipe.name, "translations": translations})


def _add_state(app: FastAPI, batcher: Batcher, metrics: Metrics) -> None:
    """How the server is."""

    @app.get(
        "/health",
        response_model=Health,
        response_description="It translates.",
        responses={503: {"model": Health, "description": "It takes no more requests."}},
    )
    def health() -> Any:
        """Whether it translates, and with which model."""
        status, code = ("ready", 200) if batcher.ready else ("stopping", 503)
        return JSONResponse({"status": status, "model": batcher.model}, code)

    @app.get("/metrics", response_class=PlainTextResponse, response_description="Plain text.")
    def numbers() -> PlainTextResponse:
        """Requests, seconds, queue and batches, as Prometheus reads them."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def answer(future: "Future[Any]", request: Request, seconds: float) -> Any:
    """What the model says, unless it takes too long or the client leaves; then its sentences leave the queue.

    Raises:
        RefusalError: there is no answer.
    """
    found, gone = asyncio.wrap_future(future), asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({found, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if found.done():
            return found.result()
        if gone.done():
            raise RefusalError(LEFT, "The client has left.")
        raise RefusalError(503, f"It was not translated within {seconds:g} seconds; send less at once.", retry_after=10)
    except DataError as error:  # such as a precision that this machine does not have
        raise RefusalError(422, str(error)) from None
    finally:
        gone.cancel()
        found.cancel()


async def left(request: Request) -> None:
    """Return when the client has closed its side."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def best_of(found: list, asked: Any) -> dict[str, Any]:
    """The translations of one sentence, as `Best` says."""
    said = [as_record(one, detailed=asked.alignments) for one in found]
    return said[0] | ({"n_best": said} if asked.n_best > 1 else {})


async def _refused(_: Request, refusal: Any) -> JSONResponse:
    return refusal.response()


async def _impossible(_: Request, error: Any) -> JSONResponse:
    return RefusalError(422, str(error)).response()


async def _invalid(_: Request, error: Any) -> JSONResponse:
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        return _unreadable(f": {faults[0]['ctx']['error']} at character {faults[0]['loc'][-1]}")
    return RefusalError(422, first_fault(faults)).response()


async def _http(_: Request, error: Any) -> JSONResponse:
    if error.status_code == 400:
        return _unreadable("")
    ways = {
        404: f"There is no such page; there are {', '.join(PATHS)}.",
        405: "The path takes another method; see /docs.",
    }
    sentence = ways.get(error.status_code, str(error.detail))
    return JSONResponse({"detail": sentence}, error.status_code, error.headers)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    return RefusalError(500, f"The server failed with {type(error).__name__}; its log says where.").response()


def _unreadable(why: str) -> JSONResponse:
    return RefusalError(400, f"The body is no JSON in UTF-8{why}; send an object such as {EXAMPLE}").response()


HANDLERS: dict[Any, Any] = {
    RefusalError: _refused,
    # what the model cannot do, which only shows when it is asked to
    DataError: _impossible,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Exception: _failed,
}

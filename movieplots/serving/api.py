"""The HTTP API: plots written and genres detected, for programs; the studio is one of them.

Every error has the same shape (`schemas.Error`), and no request can stop the server: bodies, texts, numbers of plots
and times are bounded, and what a client leaves behind is given up.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movieplots import __version__
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed
from movieplots.generation.info import GeneratorInfo
from movieplots.serving.engine import Busy, Engine, Progress, TooLate, WriteRequest, Writing
from movieplots.serving.keywords import keywords
from movieplots.serving.metrics import Metrics
from movieplots.serving.models import Comparison, Models, NotReady, Served, generator_name
from movieplots.serving.posters import SECONDS, Poster, ProviderFailed, make_poster, providers
from movieplots.serving.schemas import (
    MOST_EXPLAINED,
    Error,
    GenreProbability,
    Genres,
    GenresRequest,
    Health,
    Keywords,
    KeywordsRequest,
    ModelInfo,
    ModelList,
    Nearest,
    Novelty,
    NoveltyRequest,
    Plot,
    PlotGenres,
    Plots,
    PlotsRequest,
    PosterProvider,
    PosterRequest,
    WordEffect,
)
from movieplots.settings import Json

T = TypeVar("T")
MAX_BODY = 1_000_000  # bytes
MOST_CHARACTERS = 100_000  # of all plots that are looked into at once
BETWEEN_LOOKS = 0.5  # seconds between two looks whether a client is still there
GONE = 499  # what the log shows where nobody waited for the answer any more
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


class Gone(Exception):
    """The client has left."""


def create_app(models: Models, engine: Engine, metrics: Metrics, seconds: float = 60.0) -> FastAPI:
    """The application, which loads its models in the background.

    A request may take so many `seconds`, one for a painted poster 120 more.
    """
    limiter, painting = _Limiter(seconds), _Limiter(seconds + SECONDS, most=4)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.load()
        yield
        for each in (engine, limiter, painting):
            each.close()

    app = FastAPI(
        title="movieplots", version=__version__, lifespan=lifespan,
        summary="New movie plots, and the genres of plots.",
        responses=_errors(400, 413, 422),
    )  # fmt: skip
    app.add_middleware(_Middleware, metrics=metrics)
    _answer_errors(app)
    waiting = _errors(429, 503, 504)

    def begin(request: PlotsRequest, live: bool) -> tuple[str, Writing]:
        if request.go_on and not request.opening.strip():
            raise BadInput("There is nothing to continue: give the plot as the opening.")
        generator = models.generator(request.title.strip(), request.model)
        asked = WriteRequest(
            generator, tuple(request.genres), request.title.strip() or None, request.opening, request.n,
            request.temperature, request.top_p, request.seed, request.max_words, request.go_on, seconds,
            live,
        )  # fmt: skip
        generator.check(asked.genres, asked.title, asked.opening)
        return generator_name(generator.info), engine.write(asked)

    async def soon(request: Request, line: _Limiter, work: Callable[[], T], texts: Sequence[str] = ()) -> T:
        """The result of the work, in its turn; it is not begun for a client that has left, or after the deadline."""
        if sum(map(len, texts)) > MOST_CHARACTERS:
            raise BadInput(f"The plots have more than {MOST_CHARACTERS:,} characters together: send fewer at once.")
        return await _while_there(request, line.take(work))

    @app.post("/v1/plots", responses=waiting, tags=["plots"])
    async def plots(asked: PlotsRequest, request: Request) -> Plots:
        """Write plots, and answer when all are finished."""
        model, writing = begin(asked, live=False)
        with writing:
            written = await _while_there(request, _all(writing))
        return Plots(model=model, plots=written)

    @app.post(
        "/v1/plots/stream", tags=["plots"], response_class=StreamingResponse,
        responses=waiting | {200: {"content": {"text/event-stream": {"schema": _EVENT}},
                                   "description": _EVENTS}},
    )  # fmt: skip
    async def plots_as_they_grow(asked: PlotsRequest) -> StreamingResponse:
        """The same as server-sent events, word by word."""
        model, writing = begin(asked, live=True)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(model, writing), media_type="text/event-stream", headers=headers)

    @app.post("/v1/genres", responses=waiting, tags=["genres"])
    async def genres(asked: GenresRequest, request: Request) -> Genres:
        """Detect the genres of plots."""
        classifier = models.classifier()
        if asked.explain and len(asked.plots) > MOST_EXPLAINED:
            raise BadInput(f"At most {MOST_EXPLAINED} plots are explained at once, not {len(asked.plots)}.")
        if asked.titles is not None and len(asked.titles) != len(asked.plots):
            raise BadInput(f"There are {len(asked.titles)} titles for {len(asked.plots)} plots: give one a plot.")
        return await soon(request, limiter, lambda: _detect(classifier, asked), asked.plots)

    @app.post("/v1/keywords", responses=_errors(429, 504), tags=["plots"])
    async def find_keywords(asked: KeywordsRequest, request: Request) -> Keywords:
        """Find the words that plots are about."""
        found = await soon(request, limiter, lambda: [keywords(plot, asked.n) for plot in asked.plots], asked.plots)
        return Keywords(plots=found)

    @app.post("/v1/novelty", responses=waiting, tags=["plots"])
    async def novelty(asked: NoveltyRequest, request: Request) -> Novelty:
        """Compare plots with those that the generator was trained on."""
        compare = models.novelty()
        return await soon(request, limiter, lambda: _compare(compare, asked.plots), asked.plots)

    @app.post(
        "/v1/posters", tags=["posters"], response_class=Response,
        responses=_errors(429, 502, 504) | {200: {"content": _IMAGES, "description": "The image."}},
    )  # fmt: skip
    async def posters(asked: PosterRequest, request: Request) -> Response:
        """Make a poster."""
        poster = Poster(asked.title, asked.genres, asked.keywords, asked.seed)
        line = limiter if asked.provider == "typographic" else painting  # a slow provider must not hold up the others
        image, media_type = await soon(request, line, lambda: make_poster(poster, asked.provider))
        return Response(image, media_type=media_type)

    @app.get("/v1/models", tags=["models"])
    def model_list() -> ModelList:
        """The models that are served."""
        makers = [PosterProvider(name=p.name, available=p.available(), needs=p.needs) for p in providers()]
        return ModelList(
            models=[_model_info(each, each.info) for each in models.served.values() if each.info], posters=makers
        )

    @app.get("/healthz", tags=["health"])
    def health() -> Health:
        """Whether the server runs."""
        return Health(status="ok")

    @app.get("/readyz", responses=_errors(503), tags=["health"])
    def ready() -> Health:
        """Whether all models are loaded."""
        for served in models.served.values():
            served.check()
        return Health(status="ok")

    @app.get("/metrics", response_class=PlainTextResponse, tags=["health"])
    def prometheus() -> PlainTextResponse:
        """Counters for Prometheus."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


_CODES_OF: dict[type, str] = {BadInput: "bad_input", TooLate: "deadline", BackendFailed: "unavailable"}
_IMAGES: dict[str, Json] = {f"image/{kind}": {} for kind in ("png", "jpeg", "webp")}
_EVENT: dict[str, Json] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["title", "text", "plot", "end", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_EVENTS = """Events, each with JSON data:

- `title` `{"index", "title"}`: the title of plot `index`, as far as it goes
- `text` `{"index", "text"}`: the next words of the plot
- `plot` `{"index", …}`: the finished plot, as `POST /v1/plots` returns it
- `end` `{"model"}`: all are finished
- `error` `{"code", "message"}`: it ended before that
"""


def _errors(*statuses: int) -> dict[int | str, dict[str, Json]]:
    """For the OpenAPI document: what these statuses are answered with."""
    return {status: {"model": Error} for status in statuses}


async def _all(writing: Writing) -> list[Plot]:
    done = {progress.index: _plot(progress) async for progress in writing if progress.done}
    return [done[index] for index in sorted(done)]


async def _events(model: str, writing: Writing) -> AsyncIterator[bytes]:
    titles: dict[int, str] = {}
    told: dict[int, str] = {}
    with writing:
        try:
            async for progress in writing:
                index, sample = progress.index, progress.sample
                if sample.title != titles.get(index, ""):
                    titles[index] = sample.title
                    yield _event("title", {"index": index, "title": sample.title})
                before = told.get(index, "")
                # A letter of several tokens shows as � until it is whole; what was told must not change any more.
                plot = sample.plot if progress.done else sample.plot.rstrip("�")
                if len(plot) > len(before) and plot.startswith(before):
                    told[index] = plot
                    yield _event("text", {"index": index, "text": plot[len(before) :]})
                if progress.done:
                    yield _event("plot", _plot(progress).model_dump())
            yield _event("end", {"model": model})
        except (BadInput, TooLate, BackendFailed) as error:
            code = _CODES_OF[type(error)]
            yield _event("error", {"code": code, "message": str(error)})
        except Exception:
            yield _event("error", {"code": "internal", "message": "The plot could not be written."})
            raise


def _event(name: str, data: dict[str, Json]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False))


def _plot(progress: Progress) -> Plot:
    sample = asdict(progress.sample)
    return Plot(index=progress.index, finished=not sample.pop("truncated"), **sample)


def _detect(classifier: GenreClassifier, asked: GenresRequest) -> Genres:
    from movieplots.classification.explanation import explain
    from movieplots.classification.prediction import with_title

    proba = classifier.predict_proba(asked.plots, asked.titles)
    truncated = classifier.truncated(asked.plots)
    found = []
    for number, (plot, row) in enumerate(zip(asked.plots, proba, strict=True)):
        ranked = [
            GenreProbability(
                genre=classifier.labels[i], probability=float(row[i]), threshold=float(classifier.thresholds[i]),
                given=bool(row[i] >= classifier.thresholds[i]),
            )
            for i in row.argsort(kind="stable")[::-1]
        ]  # fmt: skip
        words = None
        if asked.explain:
            title = asked.titles[number] if asked.titles else ""
            text = with_title(title, plot)
            shift = len(text) - len(plot)
            reasons = explain(classifier, text)
            words = {
                genre: [
                    WordEffect(word=word, start=start - shift, end=end - shift, effect=float(effect))
                    for word, (start, end), effect in zip(reasons.words, reasons.spans, effects, strict=True)
                    if start >= shift
                ]
                for genre, effects in reasons.effects.items()
            }
        unread = truncated.get(number, classifier.max_tokens) - classifier.max_tokens
        found.append(PlotGenres(genres=ranked, words=words, tokens_unread=unread))
    return Genres(plots=found)


def _compare(compare: Comparison, plots: list[str]) -> Novelty:
    found = compare(plots)
    return Novelty(plots=[Nearest(**asdict(likeness), copied=likeness.copied) for likeness in found])


def _model_info(served: Served, info: GeneratorInfo | ClassifierInfo) -> ModelInfo:
    known: dict[str, Json] = {
        "name": served.name, "base": info.base_model, "state": served.state, "error": served.error
    }  # fmt: skip
    if isinstance(info, GeneratorInfo):
        genres = sorted(info.genre_counts)
        return ModelInfo(task="generation", genres=genres, metrics=asdict(info.metrics), **known)
    metrics = asdict(info.metrics.test.scores)
    return ModelInfo(task="classification", genres=info.labels, metrics=metrics, **known)


async def _while_there(request: Request, work: Awaitable[T]) -> T:
    """The result of the work; cancelled, and Gone raised, where the client hangs up before."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=BETWEEN_LOOKS))[0]:
            if await request.is_disconnected():
                raise Gone
        return task.result()
    finally:
        task.cancel()


class _Limiter:
    """One piece of work after another, since a prediction uses all cores; more than `most` at once are sent away.

    A single thread does it, so that a turn ends with its work, which nothing can stop: not a client that leaves, and
    not the deadline, which is so many `seconds` after the request.
    """

    def __init__(self, seconds: float, most: int = 32) -> None:
        self.seconds, self.most = seconds, most
        self.works: list[Future[Any]] = []
        self._thread = ThreadPoolExecutor(1, "work")

    async def take(self, work: Callable[[], T]) -> T:
        """The result of the work, which waits for those before; raises Busy or TooLate.

        Where this is cancelled or too late, work that still waits is never begun.
        """
        self.works = [each for each in self.works if not each.done()]
        if len(self.works) >= self.most:
            raise Busy(1, "plots are waiting to be looked into")
        self.works.append(self._thread.submit(work))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.works[-1]), self.seconds)
        except TimeoutError:
            raise TooLate(f"The answer was not there within {self.seconds:g} seconds.") from None

    def close(self) -> None:
        """End the thread; what waits is not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, code: str, message: str, where: str = "", after: int | None = None) -> JSONResponse:
        headers = {} if after is None else {"Retry-After": str(after)}
        error = {"code": code, "message": message, "where": where}
        return JSONResponse({"error": error}, status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return answer(422, "invalid", first["msg"], where)

    @app.exception_handler(BadInput)
    async def bad_input(_: Request, error: BadInput) -> JSONResponse:
        return answer(422, _CODES_OF[BadInput], str(error))

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return answer(429, "busy", str(error), after=error.seconds)

    @app.exception_handler(NotReady)
    async def not_ready(_: Request, error: NotReady) -> JSONResponse:
        return answer(
            503, "loading" if error.loading else "unavailable", str(error), after=1 if error.loading else None
        )

    @app.exception_handler(TooLate)
    async def too_late(_: Request, error: TooLate) -> JSONResponse:
        return answer(504, _CODES_OF[TooLate], str(error))

    @app.exception_handler(BackendFailed)
    async def backend_failed(_: Request, error: BackendFailed) -> JSONResponse:
        return answer(503, _CODES_OF[BackendFailed], str(error), after=5)

    @app.exception_handler(ProviderFailed)
    async def provider_failed(_: Request, error: ProviderFailed) -> JSONResponse:
        return answer(502, "provider_failed", str(error))

    @app.exception_handler(Gone)
    async def gone(_: Request, error: Gone) -> JSONResponse:
        return answer(GONE, "gone", "The client has left.")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        response = answer(error.status_code, _CODES.get(error.status_code, "invalid"), str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def internal(_: Request, error: Exception) -> JSONResponse:
        return answer(500, "internal", "Something went wrong here; the server's log says what.")


class _Middleware:
    """Counts answers and their seconds by route, lets no body in that is too large, and answers HEAD as GET.

    FastAPI's own limit does the latter, too, but answers it in plain text.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        head = scope["method"] == "HEAD"
        if head:  # the server goes by its own scope, and this one is looked at for the route
            scope = {**scope, "method": "GET"}
        started, status, size = time.monotonic(), 500, 0
        announced = Headers(scope=scope).get("content-length", "")

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY or (announced.isdigit() and int(announced) > MAX_BODY):
                raise HTTPException(413, f"The body has more than {MAX_BODY:,} bytes.")
            return message

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, limited, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - started)

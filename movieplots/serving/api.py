"""The HTTP API: generate plots, detect genres, find keywords, compare with the training plots, make posters.

Every error response has the same shape, `schemas.ErrorResponse`. The size of bodies and texts, the number of plots and
the time of a request are bounded. The work for a client that disconnects is cancelled.
"""

import asyncio
import contextlib
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from email.message import Message as Header
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.sse import format_sse_event
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from movieplots import __version__
from movieplots.classification.info import ClassifierInfo
from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.keywords import keywords
from movieplots.generation.sampling import Usage as PlotUsage
from movieplots.serving.engine import DeadlineExceeded, Engine, Progress, QueueFull, WriteJob, WriteRequest
from movieplots.serving.metrics import Metrics
from movieplots.serving.models import Comparison, Models, ModelUnavailable, ServedModel, generator_name
from movieplots.serving.posters import PROVIDER_SECONDS, Poster, ProviderFailed, make_poster, providers
from movieplots.serving.schemas import (
    MAX_EXPLAINED,
    ErrorBody,
    ErrorCode,
    ErrorDetail,
    ErrorResponse,
    GenreProbability,
    GenresRequest,
    GenresResponse,
    Health,
    KeywordsRequest,
    KeywordsResponse,
    ModelInfo,
    ModelsResponse,
    NearestTrainingPlot,
    NoveltyRequest,
    NoveltyResponse,
    Plot,
    PlotGenres,
    PlotsRequest,
    PlotsResponse,
    PosterProvider,
    PosterRequest,
    Usage,
    WordEffect,
    chosen_seed,
)
from movieplots.settings import Json

T = TypeVar("T")
MAX_BODY = 1_000_000  # bytes
MAX_CHARACTERS = 100_000  # of all plots in a request
POLL_SECONDS = 0.5  # between two checks whether a client is still connected
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that disconnected; it appears only in the metrics
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
DESCRIPTION = f"""\
Bodies of requests are JSON in UTF-8 with the header `Content-Type: application/json`, up to {MAX_BODY:,} bytes.

Every response has the header `X-Request-ID`. If the request has such a header with 1 to 128 visible ASCII characters,
the response repeats it. Otherwise the server creates a new id.

Every response with an HTTP status code of 400 or above has the body `ErrorResponse`. GET endpoints also answer HEAD.
"""
logger = logging.getLogger(__name__)


class ClientDisconnected(Exception):
    """The client closed the connection before the response."""


class InvalidField(BadInput):
    """A field of the request cannot be used."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def create_app(models: Models, engine: Engine, metrics: Metrics, seconds: float = 60.0) -> FastAPI:
    """Return the application, which loads its models in the background.

    `seconds` is the time limit of a request; posters of external providers get 120 seconds more.
    """
    limiter, poster_limiter = _Limiter(seconds), _Limiter(seconds + PROVIDER_SECONDS, capacity=4)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.load()
        yield
        for each in (engine, limiter, poster_limiter):
            each.close()

    app = FastAPIOffline(  # its /docs page needs no files from the internet
        title="movieplots", version=__version__, lifespan=lifespan, redoc_url=None,
        summary="Generate movie plots, and detect the genres of plots.", description=DESCRIPTION,
        responses=_errors(500), generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.add_middleware(_RequestMiddleware, metrics=metrics)
    _handle_errors(app)
    json_body = {"dependencies": [Depends(_require_json)]}

    def start_writing(body: PlotsRequest, live: bool) -> tuple[str, WriteJob]:
        if body.continue_opening and not body.opening.strip():
            raise InvalidField("opening", "There is no plot to continue: give it as the opening.")
        generator = models.generator(body.title.strip(), body.model)
        request = WriteRequest(
            generator, tuple(body.genres), body.title.strip() or None, body.opening, body.n, body.temperature,
            body.top_p, chosen_seed(body.seed), body.max_words, body.continue_opening, tuple(body.keywords),
            body.length, tuple(body.avoid), seconds, live,
        )  # fmt: skip
        generator.check(
            request.genres, request.title, request.opening, keywords=request.keywords, length=request.length,
            avoid=request.avoid,
        )  # fmt: skip
        return generator_name(generator.info), engine.write(request)

    async def run_limited(request: Request, limiter: _Limiter, work: Callable[[], T], plots: Sequence[str] = ()) -> T:
        """Return the result of the work; it does not start after a disconnect or the time limit."""
        if sum(map(len, plots)) > MAX_CHARACTERS:
            raise InvalidField(
                "plots", f"The plots have more than {MAX_CHARACTERS:,} characters in total: send fewer per request."
            )
        return await _unless_disconnected(request, limiter.run(work))

    @app.post(
        "/v1/plots",
        response_description="The generated plots.",
        responses=_post_errors(429, 503, 504),
        tags=["plots"],
        **json_body,
    )
    async def generate_plots(body: PlotsRequest, request: Request) -> PlotsResponse:
        """Generate plots, and return them when all are finished."""
        model, job = start_writing(body, live=False)
        with job:
            finished = await _unless_disconnected(request, _finished(job))
        return PlotsResponse(model=model, plots=[_plot(each) for each in finished], usage=_usage(finished))

    @app.post(
        "/v1/plots/stream", tags=["plots"], response_class=StreamingResponse,
        responses=_post_errors(429, 503) | {
            200: {"content": {"text/event-stream": {"schema": _EVENT}}, "description": _EVENTS}
        }, **json_body,
    )  # fmt: skip
    async def stream_plots(body: PlotsRequest, request: Request) -> StreamingResponse:
        """Generate plots, and stream them as server-sent events while they grow."""
        model, job = start_writing(body, live=True)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(model, job, _request_id(request)), 200, headers, "text/event-stream")

    @app.post(
        "/v1/genres",
        response_description="The detected genres.",
        responses=_post_errors(429, 503, 504),
        tags=["genres"],
        **json_body,
    )
    async def detect_genres(body: GenresRequest, request: Request) -> GenresResponse:
        """Detect the genres of plots."""
        classifier = models.classifier()
        if body.explain and len(body.plots) > MAX_EXPLAINED:
            raise InvalidField(
                "explain", f"At most {MAX_EXPLAINED} plots can be explained per request, not {len(body.plots)}."
            )
        if body.titles is not None and len(body.titles) != len(body.plots):
            raise InvalidField(
                "titles", f"There are {len(body.titles)} titles for {len(body.plots)} plots: give one title per plot."
            )
        return await run_limited(request, limiter, lambda: _detect(classifier, body), body.plots)

    @app.post(
        "/v1/keywords",
        response_description="The keywords.",
        responses=_post_errors(429, 504),
        tags=["plots"],
        **json_body,
    )
    async def find_keywords(body: KeywordsRequest, request: Request) -> KeywordsResponse:
        """Find the keywords of plots."""
        found = await run_limited(
            request, limiter, lambda: [keywords(plot, body.max_keywords) for plot in body.plots], body.plots
        )
        return KeywordsResponse(plots=found)

    @app.post(
        "/v1/novelty",
        response_description="The most similar training plots.",
        responses=_post_errors(429, 503, 504),
        tags=["plots"],
        **json_body,
    )
    async def compare_with_training_plots(body: NoveltyRequest, request: Request) -> NoveltyResponse:
        """Compare plots with the training plots of the generator."""
        compare = models.novelty()
        return await run_limited(request, limiter, lambda: _compare(compare, body.plots), body.plots)

    @app.post(
        "/v1/posters", tags=["posters"], response_class=Response,
        responses=_post_errors(429, 502, 504)
        | {200: {"content": _IMAGES, "headers": {"X-Seed": _SEED_HEADER}, "description": "The image."}}, **json_body,
    )  # fmt: skip
    async def generate_poster(body: PosterRequest, request: Request) -> Response:
        """Make a poster."""
        seed = chosen_seed(body.seed)
        poster = Poster(body.title, body.genres, body.keywords, seed)
        # External providers are slow, so they have a limiter of their own.
        chosen = limiter if body.provider == "typographic" else poster_limiter
        image, media_type = await run_limited(request, chosen, lambda: make_poster(poster, body.provider))
        return Response(image, media_type=media_type, headers={"X-Seed": str(seed)})

    @app.get("/v1/models", response_description="The models and poster providers.", tags=["models"])
    def list_models() -> ModelsResponse:
        """List the models and poster providers of this server."""
        listed = [PosterProvider(name=p.name, available=p.available(), requires=p.requires) for p in providers()]
        return ModelsResponse(
            models=[_model_info(each, each.info) for each in models.served.values() if each.info],
            poster_providers=listed,
        )

    @app.get("/healthz", response_description="The server runs.", tags=["health"])
    def check_health() -> Health:
        """Check whether the server runs."""
        return Health(status="ok")

    @app.get("/readyz", response_description="All models are loaded.", responses=_errors(503), tags=["health"])
    def check_readiness() -> Health:
        """Check whether all models are loaded."""
        for served in models.served.values():
            served.check()
        return Health(status="ok")

    @app.get("/metrics", response_description="The metrics.", response_class=PlainTextResponse, tags=["health"])
    def get_metrics() -> PlainTextResponse:
        """Return counters in the text format of Prometheus."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    generated = app.openapi
    app.openapi = lambda: _with_request_ids(generated())
    return app


_IMAGES: dict[str, Json] = {f"image/{kind}": {} for kind in ("png", "jpeg", "webp")}
_SEED_HEADER: dict[str, Json] = {
    "description": "Random seed of the poster.", "schema": {"type": "integer", "minimum": 0},
}  # fmt: skip
_RETRY_HEADER: dict[str, Json] = {
    "description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1},
}  # fmt: skip
_REQUEST_ID_HEADER: dict[str, Json] = {
    "description": "Id of the request, which error responses and the server's log repeat.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
}
_EVENT: dict[str, Json] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["title", "text", "plot", "end", "error"], "description": "Type of the event."},
        "data": {
            "type": "string", "contentMediaType": "application/json",
            "description": "JSON object; its fields depend on the type of the event.",
        },
    },
}  # fmt: skip
_EVENTS = """Server-sent events. The data of each event is a JSON object:

- `title` `{"index", "title"}`: the title of plot `index` so far
- `text` `{"index", "text"}`: the next words of plot `index`
- `plot` `Plot`: a finished plot, as `POST /v1/plots` returns it
- `end` `{"model", "usage"}`: all plots are finished
- `error` `ErrorBody`: the request failed, and no other event follows
"""
_STATUSES: dict[int, str] = {
    400: "`invalid_json`: the body is not JSON.",
    413: f"`request_too_large`: the body has more than {MAX_BODY:,} bytes.",
    415: "`unsupported_media_type`: the header `Content-Type` is missing, or names no JSON type.",
    422: "`invalid_request`: a field is missing, unknown or out of range, or the model cannot use it.",
    429: "`overloaded`: too many requests are waiting. Try again after the seconds in the header `Retry-After`.",
    500: "`internal_error`: an error of the server, which its log describes.",
    502: "`provider_failed`: the poster provider returned no image.",
    503: "`model_loading` or `backend_unavailable`: try again after the seconds in the header `Retry-After`. "
    "`model_unavailable`: the model is not served or could not be loaded.",
    504: "`timeout`: the result was not complete within the time limit of the server.",
}
_CODES = {
    400: ErrorCode.INVALID_JSON, 404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.REQUEST_TOO_LARGE, 415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}  # fmt: skip


def _errors(*statuses: int) -> dict[int | str, dict[str, Json]]:
    """Return the OpenAPI descriptions of error responses."""
    described: dict[int | str, dict[str, Json]] = {}
    for status in statuses:
        code = _STATUSES[status].split("`")[1]
        example = {"code": code, "message": "A sentence that describes the error.", "request_id": "7f3e", "details": []}
        described[status] = {
            "model": ErrorResponse, "description": _STATUSES[status],
            "content": {"application/json": {"example": {"error": example}}},
        }  # fmt: skip
        if status in (429, 503):
            described[status]["headers"] = {"Retry-After": _RETRY_HEADER}
    return described


def _post_errors(*statuses: int) -> dict[int | str, dict[str, Json]]:
    """Return the descriptions of these error responses and of those that every request with a body can get."""
    return _errors(400, 413, 415, 422, *statuses)


def _with_request_ids(document: dict[str, Json]) -> dict[str, Json]:
    """Add the header X-Request-ID to all responses of an OpenAPI document."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                response.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID_HEADER
    return document


def _request_id(request: Request) -> str:
    return request.state.request_id


async def _require_json(request: Request) -> None:
    """Raise HTTPException 415 unless the request declares a JSON body, as FastAPI recognizes it."""
    header = Header()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type() if header["content-type"] else ""
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(
            415, "The header Content-Type must be application/json" + (f", not {kind}." if kind else "; it is missing.")
        )


async def _finished(job: WriteJob) -> list[Progress]:
    """Return the last states of all plots, by index."""
    return sorted([each async for each in job if each.done], key=lambda each: each.index)


async def _events(model: str, job: WriteJob, request_id: str) -> AsyncIterator[bytes]:
    """Yield the server-sent events of a job."""
    titles: dict[int, str] = {}
    sent: dict[int, str] = {}
    finished: list[Progress] = []
    with job:
        try:
            async for progress in job:
                index, sample = progress.index, progress.sample
                if sample.title != titles.get(index, ""):
                    titles[index] = sample.title
                    yield _event("title", {"index": index, "title": sample.title})
                before = sent.get(index, "")
                # A character of several tokens decodes to � until its last token. Sent text must not change later.
                plot = sample.plot if progress.done else sample.plot.rstrip("�")
                if len(plot) > len(before) and plot.startswith(before):
                    sent[index] = plot
                    yield _event("text", {"index": index, "text": plot[len(before) :]})
                if progress.done:
                    finished.append(progress)
                    yield _event("plot", _plot(progress).model_dump())
            yield _event("end", {"model": model, "usage": _usage(finished).model_dump()})
        except (BadInput, DeadlineExceeded, BackendFailed) as error:
            code = _STREAM_CODES[next(kind for kind in _STREAM_CODES if isinstance(error, kind))]
            yield _event("error", _error_body(request_id, code, str(error)))
        except Exception:
            logger.exception("Request %s failed while streaming.", request_id)
            yield _event("error", _error_body(request_id, ErrorCode.INTERNAL_ERROR, _INTERNAL_MESSAGE))


_STREAM_CODES: dict[type[Exception], ErrorCode] = {
    BadInput: ErrorCode.INVALID_REQUEST,
    DeadlineExceeded: ErrorCode.TIMEOUT,
    BackendFailed: ErrorCode.BACKEND_UNAVAILABLE,
}
_INTERNAL_MESSAGE = "The server failed. Its log describes the error under this request id."


def _event(name: str, data: dict[str, Json]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False))


def _plot(progress: Progress) -> Plot:
    sample = asdict(progress.sample) | {"missing_keywords": progress.sample.missing_keywords}
    return Plot(index=progress.index, finish_reason="length" if sample.pop("truncated") else "stop", **sample)


def _usage(plots: Sequence[Progress]) -> Usage:
    """Return the sum over the plots."""
    used: list[PlotUsage] = [each.usage for each in plots]
    prompt, completion = sum(each.prompt_tokens for each in used), sum(each.completion_tokens for each in used)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _detect(classifier: GenreClassifier, body: GenresRequest) -> GenresResponse:
    from movieplots.classification.explanation import explain
    from movieplots.classification.prediction import with_title

    proba = classifier.predict_proba(body.plots, body.titles)
    truncated = classifier.truncated(body.plots)
    found = []
    for number, (plot, row) in enumerate(zip(body.plots, proba, strict=True)):
        ranked = [
            GenreProbability(
                genre=classifier.labels[i], probability=float(row[i]), threshold=float(classifier.thresholds[i]),
                predicted=bool(row[i] >= classifier.thresholds[i]),
            )
            for i in row.argsort(kind="stable")[::-1]
        ]  # fmt: skip
        word_effects = None
        if body.explain:
            title = body.titles[number] if body.titles else ""
            text = with_title(title, plot)
            shift = len(text) - len(plot)
            explanation = explain(classifier, text)
            word_effects = {
                genre: [
                    WordEffect(word=word, start=start - shift, end=end - shift, effect=float(effect))
                    for word, (start, end), effect in zip(explanation.words, explanation.spans, effects, strict=True)
                    if start >= shift
                ]
                for genre, effects in explanation.effects.items()
            }
        excess = truncated.get(number, classifier.max_tokens) - classifier.max_tokens
        found.append(PlotGenres(genres=ranked, word_effects=word_effects, truncated_tokens=excess))
    return GenresResponse(plots=found)


def _compare(compare: Comparison, plots: list[str]) -> NoveltyResponse:
    nearest = compare(plots)
    return NoveltyResponse(plots=[NearestTrainingPlot(**asdict(each), copied=each.copied) for each in nearest])


def _model_info(served: ServedModel, info: GeneratorInfo | ClassifierInfo) -> ModelInfo:
    known: dict[str, Json] = {
        "name": served.name, "base_model": info.base_model, "state": served.state, "error": served.error
    }  # fmt: skip
    if isinstance(info, GeneratorInfo):
        genres = sorted(info.genre_counts)
        return ModelInfo(task="generation", genres=genres, metrics=asdict(info.metrics), **known)
    metrics = asdict(info.metrics.test.scores)
    return ModelInfo(task="classification", genres=info.labels, metrics=metrics, **known)


async def _unless_disconnected(request: Request, work: Awaitable[T]) -> T:
    """Return the result of the work; cancel it and raise ClientDisconnected if the client disconnects before."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=POLL_SECONDS))[0]:
            if await request.is_disconnected():
                raise ClientDisconnected
        return task.result()
    finally:
        task.cancel()


class _Limiter:
    """A single worker thread with a bounded queue, because one prediction uses all cores.

    Running work cannot be interrupted: it occupies the thread until it ends, even after a disconnect or the time limit.
    `seconds` is the time limit, which includes the time in the queue. `capacity` bounds running and waiting work.
    """

    def __init__(self, seconds: float, capacity: int = 32) -> None:
        self.seconds, self.capacity = seconds, capacity
        self.pending: list[Future[Any]] = []
        self._thread = ThreadPoolExecutor(1, "work")

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of the work; raise QueueFull or DeadlineExceeded.

        Waiting work is removed from the queue if this is cancelled or the time limit is exceeded.
        """
        self.pending = [each for each in self.pending if not each.done()]
        if len(self.pending) >= self.capacity:
            raise QueueFull(1)
        self.pending.append(self._thread.submit(work))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.pending[-1]), self.seconds)
        except TimeoutError:
            raise DeadlineExceeded(f"The result was not ready within {self.seconds:g} seconds.") from None

    def close(self) -> None:
        """Shut the thread down, and drop waiting work."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _error_body(request_id: str, code: ErrorCode, message: str, details: Sequence[ErrorDetail] = ()) -> dict[str, Json]:
    body = ErrorBody(code=code, message=message, request_id=request_id, details=list(details))
    return body.model_dump(mode="json")


def _error_response(
    request: Request, status: int, code: ErrorCode, message: str, details: Sequence[ErrorDetail] = (),
    retry_after: int | None = None,
) -> JSONResponse:  # fmt: skip
    """Return an error response; log errors that are not the client's."""
    request_id = _request_id(request)
    if status >= 500 and code != ErrorCode.MODEL_LOADING:
        logger.warning("Request %s: %r answered %d %s: %s", request_id, request.scope["path"], status, code, message)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": _error_body(request_id, code, message, details)}, status, headers)


def _invalid_fields(errors: Sequence[dict[str, Any]]) -> tuple[str, list[ErrorDetail]]:
    """Return a sentence and the details for pydantic's errors."""
    details = []
    for error in errors:
        field = ".".join(str(part) for part in error["loc"] if part != "body") or "body"
        blank = error["type"] == "string_pattern_mismatch"  # only texts have a pattern: at least one visible character
        details.append(ErrorDetail(field=field, message="The text must not be blank" if blank else error["msg"]))
    if len(details) == 1:
        return f"The field {details[0].field} is invalid: {details[0].message}.", details
    names = ", ".join(dict.fromkeys(each.field for each in details))
    return f"The request has {len(details)} errors in these fields: {names}.", details


def _handle_errors(app: FastAPI) -> None:
    """Register the handlers that turn exceptions into error responses."""

    @app.exception_handler(RequestValidationError)
    async def handle_invalid_body(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        if errors[0]["type"] == "json_invalid":
            message = f"The body is not valid JSON: {errors[0]['ctx']['error']} at character {errors[0]['loc'][-1]}."
            return _error_response(request, 400, ErrorCode.INVALID_JSON, message)
        return _error_response(request, 422, ErrorCode.INVALID_REQUEST, *_invalid_fields(errors))

    @app.exception_handler(BadInput)
    async def handle_bad_input(request: Request, error: BadInput) -> JSONResponse:
        details = [ErrorDetail(field=error.field, message=str(error))] if isinstance(error, InvalidField) else []
        return _error_response(request, 422, ErrorCode.INVALID_REQUEST, str(error), details)

    @app.exception_handler(QueueFull)
    async def handle_queue_full(request: Request, error: QueueFull) -> JSONResponse:
        return _error_response(request, 429, ErrorCode.OVERLOADED, str(error), retry_after=error.retry_after)

    @app.exception_handler(ModelUnavailable)
    async def handle_unavailable_model(request: Request, error: ModelUnavailable) -> JSONResponse:
        if error.loading:
            return _error_response(request, 503, ErrorCode.MODEL_LOADING, str(error), retry_after=1)
        return _error_response(request, 503, ErrorCode.MODEL_UNAVAILABLE, str(error))

    @app.exception_handler(DeadlineExceeded)
    async def handle_timeout(request: Request, error: DeadlineExceeded) -> JSONResponse:
        return _error_response(request, 504, ErrorCode.TIMEOUT, str(error))

    @app.exception_handler(BackendFailed)
    async def handle_backend_failure(request: Request, error: BackendFailed) -> JSONResponse:
        return _error_response(request, 503, ErrorCode.BACKEND_UNAVAILABLE, str(error), retry_after=5)

    @app.exception_handler(ProviderFailed)
    async def handle_provider_failure(request: Request, error: ProviderFailed) -> JSONResponse:
        return _error_response(request, 502, ErrorCode.PROVIDER_FAILED, str(error))

    @app.exception_handler(ClientDisconnected)
    async def handle_disconnect(_: Request, error: ClientDisconnected) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(HTTPException)
    async def handle_http_exception(request: Request, error: HTTPException) -> JSONResponse:
        status, path = error.status_code, request.scope["path"]
        message = {
            400: "The body is not valid JSON in UTF-8.", 404: f"There is nothing at {path}.",
            405: f"{path} does not support the method {request.method}.",
        }.get(status, str(error.detail))  # fmt: skip
        response = _error_response(request, status, _CODES.get(status, ErrorCode.INVALID_REQUEST), message)
        response.headers.update(error.headers or {})
        if status == 405:
            response.headers["Allow"] = response.headers.get("Allow", "GET").replace("GET", "GET, HEAD")
        return response


class _RequestMiddleware:
    """ASGI middleware: request ids, metrics, the limit of bodies, HEAD for GET routes, and unexpected exceptions.

    FastAPI's own limit of bodies answers in plain text.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        own = headers.get("x-request-id", "")
        request_id = own if REQUEST_ID.fullmatch(own) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        head = scope["method"] == "HEAD"
        if head:  # a copy, because the server itself needs the original method
            scope = {**scope, "method": "GET"}
        start, status, size = time.monotonic(), 0, 0
        announced = headers.get("content-length", "")

        async def limited_receive() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY or (announced.isdigit() and int(announced) > MAX_BODY):
                raise HTTPException(413, f"The body has more than {MAX_BODY:,} bytes.")
            return message

        async def wrapped_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, limited_receive, wrapped_send)
        except Exception:
            logger.exception("Request %s: %r failed.", request_id, scope["path"])
            if status:  # too late for another response
                raise
            body = {"error": _error_body(request_id, ErrorCode.INTERNAL_ERROR, _INTERNAL_MESSAGE)}
            await JSONResponse(body, 500)(scope, limited_receive, wrapped_send)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status or 500)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - start)

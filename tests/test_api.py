"""The HTTP API with fake models: responses, errors, limits, streams, disconnected clients."""

import asyncio
import json
import re
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from made_up import classifier_info, generator_info

from movieplots.classification.prediction import GenreClassifier
from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed
from movieplots.generation.sampling import PlotGenerator, Sample, Usage
from movieplots.generation.sampling_settings import Sampling
from movieplots.measures.novelty_index import NearestPlot
from movieplots.serving import api
from movieplots.serving.api import create_app
from movieplots.serving.engine import Engine
from movieplots.serving.metrics import Metrics
from movieplots.serving.models import Models, ServedModel, generator_name
from movieplots.serving.posters import ProviderFailed
from tests.waiting import until

LABELS = ["comedy", "drama", "horror"]
WRITES = generator_info(genre_counts=dict.fromkeys(LABELS, 1))
DETECTS = classifier_info(labels=LABELS)
ERROR = {"code", "message", "request_id", "details"}


class FakeGenerator:
    """A generator that writes `words` words, `pause` seconds apart, once the event `go` is set."""

    def __init__(self, titles=True, words=4, pause=0.0, go=None):
        self.info = replace(WRITES, titles=titles)
        self.words, self.pause, self.go, self.writing = words, pause, go, 0

    def check(self, genres, title, opening, **_):
        if unknown := set(genres) - set(LABELS):
            raise BadInput(f"Unknown genre {unknown.pop()!r}.")

    def stream_with_usage(self, genres, title, opening, *, temperature, top_p, seed, keywords, length, **_):
        self.writing += 1
        try:
            if self.go:
                self.go.wait(20)
            for count in range(1, self.words + 1):
                time.sleep(self.pause)
                sample = Sample(
                    ", ".join(genres) or "drama", title or "Salt (2009)",
                    " ".join([opening, *["word"] * count]).strip(), temperature, top_p, seed, count < self.words,
                    keywords, length,
                )  # fmt: skip
                yield sample, Usage(5, count)
        finally:
            self.writing -= 1


class FakeEngine:
    """An engine of a classifier: the words of a plot decide its logits."""

    max_tokens = 6

    def logits(self, texts):
        return np.array([[3.0 if label in text else -3.0 for label in LABELS] for text in texts])

    def masked_logits(self, texts, hidden):
        spans = [sorted(each, reverse=True) for each in hidden]
        texts = list(texts)
        for i, places in enumerate(spans):
            for start, end in places:
                texts[i] = texts[i][:start] + "[MASK]" + texts[i][end:]
        return self.logits(texts)

    def lengths(self, texts):
        return [len(text.split()) for text in texts]


class SlowEngine(FakeEngine):
    """An engine that predicts once `go` is set, and counts predictions: `started`, and the `most` at the same time."""

    def __init__(self):
        self.go, self.lock = threading.Event(), threading.Lock()
        self.started = self.at_once = self.most = 0

    def logits(self, texts):
        with self.lock:
            self.started += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.go.wait(20)
        with self.lock:
            self.at_once -= 1
        return super().logits(texts)


def served(name, model, info):
    found = ServedModel(name, None, info, None, model)
    found.loaded.set()
    return found


def app_of(generators=(), classifier=True, novelty=True, predictor=None, **settings):
    models = Models([], None)
    for generator in generators:
        name = generator_name(generator.info)
        models.served[name] = served(name, generator, generator.info)
    if classifier:
        models.served["classifier"] = served("classifier", GenreClassifier(predictor or FakeEngine(), DETECTS), DETECTS)
    if novelty:
        near = served("novelty", lambda plots: [NearestPlot("Salt", 0.9, 24, "Salt")] * len(plots), None)
        models.served["novelty"] = near
    models.load = lambda: None
    metrics = Metrics()
    engine = Engine(settings.pop("slots", 4), settings.pop("queue", 8), metrics.count)
    metrics.watch(engine)
    return create_app(models, engine, metrics, **settings)


@pytest.fixture
def client():
    with TestClient(app_of([FakeGenerator()])) as client:
        yield client


def events(answer):
    pairs = [block.split("\n", 1) for block in answer.text.strip().split("\n\n")]
    return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in pairs]


def test_plots_come_in_the_order_of_their_numbers(client):
    answer = client.post("/v1/plots", json={"genres": ["horror"], "n": 3, "seed": 7, "opening": "The sea"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == "with-titles"
    assert body["usage"] == {"prompt_tokens": 15, "completion_tokens": 12, "total_tokens": 27}
    assert [plot["index"] for plot in body["plots"]] == [0, 1, 2]
    assert {plot["plot"] for plot in body["plots"]} == {"The sea word word word word"}
    assert body["plots"][0] | {"index": 0} == {
        "index": 0, "genre": "horror", "title": "Salt (2009)", "plot": "The sea word word word word",
        "temperature": 0.8, "top_p": 0.9, "seed": 7, "finish_reason": "stop",
        "keywords": [], "missing_keywords": [], "length": None, "not_avoided": [],
    }  # fmt: skip


def test_a_plot_says_which_keywords_it_lacks(client):
    asked = {"genres": ["horror"], "keywords": ["words", "lighthouse"], "length": "short", "avoid": ["serial killer"]}
    (plot,) = client.post("/v1/plots", json=asked).json()["plots"]
    assert (plot["keywords"], plot["missing_keywords"], plot["length"]) == (
        ["words", "lighthouse"],
        ["lighthouse"],
        "short",
    )
    assert client.post("/v1/plots", json={"length": "tiny"}).json()["error"]["details"][0]["field"] == "length"
    for wrong in ({"keywords": ["a", "b", "c", "d"]}, {"keywords": ["x" * 61]}, {"avoid": ["x"] * 21}):
        assert client.post("/v1/plots", json=wrong).status_code == 422


def test_contradictions_are_errors(trained):
    with TestClient(app_of([PlotGenerator.from_pretrained(trained[0])])) as client:
        answer = client.post("/v1/plots", json={"keywords": ["sea"], "avoid": ["sea"]})
        assert answer.status_code == 422 and "which is to be avoided" in answer.json()["error"]["message"]
        many = client.post("/v1/plots", json={"keywords": [" ".join(["word"] * 20)]})
        assert many.status_code == 422


def test_the_stream_adds_up_to_the_same_plots(client):
    asked = {"genres": ["comedy"], "n": 2, "seed": 7}
    answer = client.post("/v1/plots/stream", json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    streamed = events(answer)
    complete = client.post("/v1/plots", json=asked).json()
    assert streamed[-1] == ("end", {"model": complete["model"], "usage": complete["usage"]})
    finished = {data["index"]: data for event, data in streamed if event == "plot"}
    assert [finished[0], finished[1]] == complete["plots"]
    for index, plot in finished.items():
        assert "".join(d["text"] for e, d in streamed if e == "text" and d["index"] == index) == plot["plot"]
        assert ("title", {"index": index, "title": "Salt (2009)"}) in streamed


def test_a_character_of_several_tokens_is_sent_when_it_is_complete():
    class Halves(FakeGenerator):
        def stream_with_usage(self, *_, **__):
            for plot in ("caf�", "café", "café au lait"):
                time.sleep(0.05)
                yield Sample("drama", "T", plot, 1.0, 0.9, 0, not plot.endswith("lait")), Usage()

    with TestClient(app_of([Halves()])) as client:
        streamed = events(client.post("/v1/plots/stream", json={}))
    assert "".join(data["text"] for event, data in streamed if event == "text") == "café au lait"


def test_the_generator_is_chosen_by_the_title():
    fakes = [FakeGenerator(titles=False), FakeGenerator()]
    with TestClient(app_of(fakes)) as client:
        assert client.post("/v1/plots", json={}).json()["model"] == "without-titles"
        assert client.post("/v1/plots", json={"title": "Salt"}).json()["model"] == "with-titles"
        assert client.post("/v1/plots", json={"model": "with-titles"}).json()["model"] == "with-titles"
        names = [model["name"] for model in client.get("/v1/models").json()["models"]]
        assert names == ["without-titles", "with-titles", "classifier"]


def test_genres_are_ranked_and_explained(client):
    asked = {"plots": ["a horror house", "nothing"], "titles": ["Salt", ""], "explain": True}
    first, second = client.post("/v1/genres", json=asked).json()["plots"]
    assert first["genres"][0]["genre"] == "horror" and first["genres"][0]["predicted"]
    assert [genre["predicted"] for genre in second["genres"]] == [False] * 3
    (word,) = [word for word in first["word_effects"]["horror"] if word["effect"] > 0]
    assert (word["word"], asked["plots"][0][word["start"] : word["end"]]) == ("horror", "horror")
    assert client.post("/v1/genres", json={"plots": ["a b c d e f g h"]}).json()["plots"][0]["truncated_tokens"] == 2


def test_keywords_novelty_and_posters(client):
    plot = "Two rival bakers must share an oven for one winter."
    (words,) = client.post("/v1/keywords", json={"plots": [plot], "max_keywords": 2}).json()["plots"]
    assert words[0] == "rival bakers" and len(words) == 2
    (near,) = client.post("/v1/novelty", json={"plots": [plot]}).json()["plots"]
    assert near == {
        "title": "Salt",
        "similarity": 0.9,
        "longest_verbatim_span": 24,
        "span_title": "Salt",
        "copied": True,
    }
    poster = client.post("/v1/posters", json={"title": "Salt (2009)", "genres": ["horror"]})
    assert poster.headers["content-type"] == "image/png" and poster.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "body", "fields", "message"),
    [
        ("plots", {"n": 9}, ["n"], "The field n is invalid: Input should be less than or equal to 8."),
        ("plots", {"genre": "horror"}, ["genre"], "not permitted"),
        ("plots", {"genres": ["salad"]}, [], "Unknown genre 'salad'"),
        ("plots/stream", {"genres": ["salad"]}, [], "Unknown genre 'salad'"),
        ("plots", {"model": "without-titles"}, [], "This server has no generator without-titles"),
        ("plots", {"continue_opening": True}, ["opening"], "no plot to continue"),
        ("plots", {"n": 9, "genres": ["", "x" * 41], "seed": -1}, ["genres.0", "genres.1", "n", "seed"],
         "The request has 4 errors in these fields: genres.0, genres.1, n, seed."),
        ("plots", {"n": "3", "top_p": None}, ["n", "top_p"], "2 errors"),
        ("plots", [], ["body"], "The field body is invalid"),
        ("genres", {}, ["plots"], "Field required"),
        ("genres", {"plots": []}, ["plots"], "at least 1"),
        ("genres", {"plots": ["a", " ", ""]}, ["plots.1", "plots.2"], "2 errors"),
        ("genres", {"plots": [" "]}, ["plots.0"], "The field plots.0 is invalid: The text must not be blank."),
        ("genres", {"plots": ["a", "b"], "titles": ["c"]}, ["titles"], "1 titles for 2 plots"),
        ("genres", {"plots": ["a"] * 5, "explain": True}, ["explain"], "At most 4 plots can be explained"),
        ("keywords", {"plots": ["word " * 3999] * 6}, ["plots"], "more than 100,000 characters"),
        ("posters", {"provider": "picasso"}, [], "Unknown poster provider 'picasso'"),
        ("posters", {"provider": "openai"}, [], "requires a key in OPENAI_API_KEY"),
    ],
)  # fmt: skip
def test_invalid_requests(client, monkeypatch, path, body, fields, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error.keys() == ERROR and error["code"] == "invalid_request" and message in error["message"]
    assert [detail["field"] for detail in error["details"]] == fields
    assert all(detail["message"] for detail in error["details"])


LARGE = b" " * 1_000_001
JSON = {"Content-Type": "application/json"}


def fails(error):
    """A generator that raises the error."""

    class Failing(FakeGenerator):
        def stream_with_usage(self, *_, **__):
            raise error

    return Failing()


def loading(failed=""):
    """An app whose classifier is loading, or could not be loaded."""
    models = Models([], None)
    models.served["classifier"] = ServedModel("classifier", None, DETECTS, None, error=failed)
    if failed:
        models.served["classifier"].loaded.set()
    models.load = lambda: None
    return create_app(models, Engine(), Metrics())


def raises(error):
    def make_poster(*_):
        raise error

    return make_poster


# Each code: how to provoke it, and its status.
PROVOKED = {
    "invalid_json": (400, lambda client, app: client.post("/v1/plots", content=b"{", headers=JSON)),
    "invalid_request": (422, lambda client, app: client.post("/v1/plots", json={"n": 9})),
    "not_found": (404, lambda client, app: client.get("/v1/nothing")),
    "method_not_allowed": (405, lambda client, app: client.delete("/v1/plots")),
    "request_too_large": (413, lambda client, app: client.post("/v1/plots", content=LARGE, headers=JSON)),
    "unsupported_media_type": (415, lambda client, app: client.post("/v1/plots", content=b"{}")),
    "overloaded": (429, lambda client, app: client.post("/v1/plots", json={"n": 8})),
    "internal_error": (500, lambda client, app: client.post("/v1/plots", json={})),
    "provider_failed": (502, lambda client, app: client.post("/v1/posters", json={})),
    "model_loading": (503, lambda client, app: client.get("/readyz")),
    "model_unavailable": (503, lambda client, app: client.post("/v1/novelty", json={"plots": ["a"]})),
    "backend_unavailable": (503, lambda client, app: client.post("/v1/plots", json={})),
    "timeout": (504, lambda client, app: client.post("/v1/plots", json={})),
}
APPS = {
    "overloaded": lambda: app_of([FakeGenerator()], slots=1, queue=0),
    "internal_error": lambda: app_of([fails(RuntimeError("secret"))]),
    "model_loading": loading,
    "model_unavailable": lambda: app_of(novelty=False),
    "backend_unavailable": lambda: app_of([fails(BackendFailed("It does not answer."))]),
    "timeout": lambda: app_of([FakeGenerator(words=1000, pause=0.01)], seconds=0.1),
}


@pytest.mark.parametrize("code", PROVOKED)
def test_every_code_is_answered_with_its_documented_status(monkeypatch, caplog, code):
    if code == "provider_failed":
        monkeypatch.setattr(api, "make_poster", raises(ProviderFailed("It failed.")))
    status, provoke = PROVOKED[code]
    app = APPS.get(code, lambda: app_of([FakeGenerator()]))()
    with TestClient(app) as client:
        answer = provoke(client, app)
    error = answer.json()["error"]
    assert answer.status_code == status
    assert error.keys() == ERROR and error["code"] == code
    assert error["message"].endswith(".") and "secret" not in answer.text
    assert error["request_id"] == answer.headers["x-request-id"]
    assert (error["request_id"] in caplog.text) == (status >= 500 and code != "model_loading")
    assert ("retry-after" in answer.headers) == (code in ("overloaded", "model_loading", "backend_unavailable"))
    method, path = answer.request.method.lower(), answer.request.url.path
    if code not in ("not_found", "method_not_allowed"):
        documented = app.openapi()["paths"][path][method]["responses"][str(status)]
        assert f"`{code}`" in documented["description"]
        assert ("Retry-After" in documented["headers"]) == (status in (429, 503))
        assert documented["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorResponse")


def test_every_documented_code_is_answered(client):
    document = client.get("/openapi.json").json()
    assert set(document["components"]["schemas"]["ErrorCode"]["enum"]) == set(PROVOKED)
    described = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in re.findall(r"`([a-z_]+)`", response["description"])
    }
    assert described == set(PROVOKED) - {"not_found", "method_not_allowed"}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200), ("application/json; charset=utf-8", 200), ("application/vnd.api+json", 200),
        ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("json", 415), (None, 415),
    ],
)  # fmt: skip
def test_bodies_must_be_declared_as_json(client, kind, status):
    for path in ("/v1/plots", "/v1/plots/stream"):
        answer = client.post(path, content=b"{}", headers={"Content-Type": kind} if kind else {})
        assert answer.status_code == status
        assert status == 200 or "Content-Type must be application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'"\xff"', b"[" * 100_000])
def test_bodies_that_are_not_json(client, content):
    answer = client.post("/v1/plots", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) in ((400, "invalid_json"), (422, "invalid_request"))
    assert "JSON" in answer.json()["error"]["message"] or not content


def test_large_bodies_in_chunks(client):
    answer = client.post("/v1/plots", content=iter([LARGE]), headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("own", ["a", "4f1c-!~", "x" * 128])
def test_a_request_id_of_the_client_is_kept(client, own):
    for answer in (client.get("/healthz", headers={"X-Request-ID": own}),
                   client.get("/nothing", headers={"X-Request-ID": own})):  # fmt: skip
        assert answer.headers["x-request-id"] == own
    assert answer.json()["error"]["request_id"] == own


@pytest.mark.parametrize("own", [None, "", "x" * 129, "a b", "a\tb", "\xe4"])
def test_other_request_ids_are_replaced(client, own):
    headers = {} if own is None else {"X-Request-ID": own.encode("latin-1")}
    ids = [client.get("/healthz", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids) and ids[0] != ids[1]


def test_a_failure_while_streaming_is_an_event_with_the_request_id(caplog):
    with TestClient(app_of([fails(RuntimeError("secret"))])) as client:
        answer = client.post("/v1/plots/stream", json={}, headers={"X-Request-ID": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    ((name, error),) = events(answer)
    assert (name, error["code"], error["request_id"]) == ("error", "internal_error", "mine")
    assert error.keys() == ERROR and "secret" not in answer.text
    assert "Request mine failed" in caplog.text and "secret" in caplog.text


def test_without_a_seed_each_request_gets_a_new_one(client):
    def seeds(**body):
        return [plot["seed"] for plot in client.post("/v1/plots", json=body).json()["plots"]]

    (first, same), (second,) = seeds(n=2), seeds(seed=None)
    assert first == same != second
    assert seeds(seed=0) == [0] and seeds(seed=2**32 - 1) == [2**32 - 1]


def test_a_poster_can_be_repeated_with_its_seed(client):
    body = {"title": "Salt (2009)", "genres": ["horror"]}
    first, second = (client.post("/v1/posters", json=body) for _ in range(2))
    assert first.headers["x-seed"] != second.headers["x-seed"]
    again = client.post("/v1/posters", json=body | {"seed": int(first.headers["x-seed"])})
    assert again.content == first.content and again.headers["x-seed"] == first.headers["x-seed"]


def test_models_that_are_missing_loading_or_broken():
    with TestClient(app_of([FakeGenerator()], classifier=False, novelty=False)) as client:
        for path in ("genres", "novelty"):
            answer = client.post(f"/v1/{path}", json={"plots": ["a"]})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    with TestClient(loading()) as client:
        assert client.get("/healthz").status_code == 200
        for answer in (client.get("/readyz"), client.post("/v1/genres", json={"plots": ["a"]})):
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "model_loading"
    with TestClient(loading(failed="It is broken.")) as client:
        assert "It is broken." in client.get("/readyz").json()["error"]["message"]
        assert client.get("/v1/models").json()["models"][0]["state"] == "failed"


def test_a_full_queue_answers_when_to_try_again():
    generator = FakeGenerator(go=threading.Event())
    with TestClient(app_of([generator], slots=1, queue=0)) as client:
        first = threading.Thread(target=client.post, args=("/v1/plots",), kwargs={"json": {}})
        first.start()
        assert until(lambda: generator.writing)
        answers = [client.post(f"/v1/plots{path}", json={}) for path in ("", "/stream")]
        generator.go.set()
        first.join()
        for answer in answers:
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "overloaded"
        assert until(lambda: client.post("/v1/plots", json={}).status_code == 200)


def test_the_time_limit():
    with TestClient(app_of([FakeGenerator(words=1000, pause=0.01)], seconds=0.2)) as client:
        answer = client.post("/v1/plots", json={})
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "timeout"
        assert events(client.post("/v1/plots/stream", json={}))[-1][1]["code"] == "timeout"


def test_the_server_continues_after_an_internal_error():
    with TestClient(app_of([fails(RuntimeError("secret"))])) as client:
        answer = client.post("/v1/plots", json={})
        assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal_error"
        assert client.get("/healthz").status_code == 200


async def disconnect(app, path, body, when):
    """Send a request, and disconnect when `when()` is true: the HTTP statuses that were sent."""
    messages = iter([{"type": "http.request", "body": json.dumps(body).encode()}])
    statuses = []

    async def receive():
        if message := next(messages, None):
            return message
        while not when():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message):
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
        "server": ("test", 80), "client": ("test", 1), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 30)
    return statuses


@pytest.mark.parametrize("path", ["/v1/plots", "/v1/plots/stream"])
def test_a_disconnected_client_frees_its_slots(path):
    generator = FakeGenerator(words=10_000, pause=0.01)
    asyncio.run(disconnect(app_of([generator]), path, {"n": 2}, lambda: generator.writing == 2))
    assert until(lambda: generator.writing == 0)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(api, "POLL_SECONDS", 0.01)
    predictor = SlowEngine()
    yield predictor
    predictor.go.set()


def test_running_work_is_not_joined_by_other_work_after_a_disconnect(slow):
    app, asked = app_of(predictor=slow), {"plots": ["a horror"]}

    async def clients():
        first = await disconnect(app, "/v1/genres", asked, lambda: slow.started == 1)
        # The second one waits in the queue, disconnects, and never starts.
        second = await disconnect(app, "/v1/genres", asked, lambda: True)
        assert (first, second, slow.at_once) == (
            [api.CLIENT_CLOSED_REQUEST],
            [api.CLIENT_CLOSED_REQUEST],
            1,
        )  # answered while the work continues
        slow.go.set()
        return await disconnect(app, "/v1/genres", asked, lambda: slow.started == 2 and not slow.at_once)

    asyncio.run(clients())
    assert until(lambda: slow.started == 2) and slow.most == 1


def test_running_work_is_not_joined_by_other_work_after_the_time_limit(slow):
    with TestClient(app_of(predictor=slow, seconds=0.05)) as client:
        asked = {"plots": ["a horror"]}
        assert until(lambda: client.post("/v1/genres", json=asked).status_code == 504 and slow.started)
        answer = client.post("/v1/genres", json=asked)  # times out in the queue
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert "within 0.05 seconds" in answer.json()["error"]["message"]
        assert slow.started == 1
        slow.go.set()
        assert until(lambda: client.post("/v1/genres", json=asked).status_code == 200)
    assert slow.most == 1


def test_prometheus_counts(client):
    client.post("/v1/plots", json={"n": 2})
    client.get("/nothing")
    text = client.get("/metrics").text
    assert 'movieplots_requests_total{route="/v1/plots",status="200"} 1.0' in text
    assert "movieplots_plots_total 2.0" in text and "movieplots_tokens_total 8.0" in text
    assert 'status="404"' in text and "movieplots_waiting 0.0" in text


def test_the_document_has_an_example_of_every_call(client):
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call["description"]
            if method == "post":
                (content,) = call["requestBody"]["content"].values()
                schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                assert schema["examples"], path
    assert SimpleNamespace(**document["info"]).title == "movieplots"


def test_max_words_does_not_count_the_opening(client):
    asked = {"genres": ["horror"], "opening": "The sea gives back", "max_words": 2}
    (plot,) = client.post("/v1/plots", json=asked).json()["plots"]
    assert (plot["plot"], plot["finish_reason"]) == ("The sea gives back word word", "length")


def test_a_model_that_generates_nothing():
    with TestClient(app_of([FakeGenerator(words=0)])) as client:
        answer = client.post("/v1/plots", json={"genres": ["horror"]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")


def test_the_model_says_how_long_an_opening_may_be():
    def check(genres, title, opening, **_):
        raise BadInput(f"The opening has {len(opening.split())} words.")

    with TestClient(app_of([SimpleNamespace(info=WRITES, check=check)])) as client:
        for path in ("/v1/plots", "/v1/plots/stream"):
            answer = client.post(path, json={"opening": "word " * 3_000, "continue_opening": True})
            assert (answer.status_code, answer.json()["error"]["message"]) == (422, "The opening has 3000 words.")


def test_a_backend_server_takes_one_generator(trained, untitled):
    with pytest.raises(BadInput, match="has one model: give one generator"):
        Models([trained[0], untitled], None, backend="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models", "/openapi.json", "/docs"])
def test_head_answers_as_get_without_the_body(client, path):
    asked, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (asked.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == asked.headers["content-type"]


def test_other_methods_are_refused(client):
    for path, allowed in (("/v1/plots", "POST"), ("/healthz", "GET, HEAD"), ("/docs", "GET, HEAD")):
        for method in ("OPTIONS", "PUT", "DELETE", "HEAD", "GET", "POST"):
            answer = client.request(method, path)
            if method in allowed:
                assert answer.status_code in (200, 415)
                continue
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
            if method != "HEAD":
                error = answer.json()["error"]
                assert error.keys() == ERROR and error["code"] == "method_not_allowed"
    assert client.head("/v1/nothing").status_code == 404
    operations = [operation for path in client.get("/openapi.json").json()["paths"].values() for operation in path]
    assert "head" not in operations


def test_models_are_degeneratord_and_bounds_are_those_of_the_options(client):
    writes, detects = client.get("/v1/models").json()["models"]
    assert (writes["task"], writes["base_model"], writes["genres"]) == ("generation", "tiny", LABELS)
    assert writes["metrics"]["test_loss_after"] == 3 and detects["metrics"]["micro_f1"] == 0.5
    fields = client.get("/openapi.json").json()["components"]["schemas"]["PlotsRequest"]["properties"]
    assert (fields["temperature"]["exclusiveMinimum"], fields["temperature"]["maximum"]) == (0, 5)
    assert fields["temperature"]["default"] == Sampling.temperature
    assert (fields["n"]["minimum"], fields["n"]["maximum"]) == (1, 8)
    (seed, null) = fields["seed"]["anyOf"]
    assert (seed["minimum"], seed["maximum"], null) == (0, 2**32 - 1, {"type": "null"})


def properties(node, where="document"):
    """Every property of every schema in a part of the document: (where, schema)."""
    if isinstance(node, dict):
        named = node.get("properties")
        if isinstance(named, dict) and node.get("type") == "object":
            yield from ((f"{where}.{name}", schema) for name, schema in named.items())
        for key, value in node.items():
            yield from properties(value, f"{where}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from properties(value, f"{where}.{number}")


def test_every_field_of_the_document_is_described(client):
    document = client.get("/openapi.json").json()
    found = dict(properties(document))
    assert len(found) > 70
    assert [where for where, schema in found.items() if not schema.get("description")] == []
    schemas = document["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description", "").endswith(".")] == []


def test_every_response_documents_its_request_id(client):
    for operations in client.get("/openapi.json").json()["paths"].values():
        for operation in operations.values():
            assert all("X-Request-ID" in response["headers"] for response in operation["responses"].values())


def test_the_docs_page_uses_only_this_server(client):
    page = client.get("/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/") and client.get(address).status_code == 200
    assert not re.search(r"https?://", page)
    assert client.get("/redoc").status_code == 404

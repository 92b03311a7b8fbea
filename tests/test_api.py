"""The HTTP API over made-up models: shapes, errors, limits, streams, clients that leave."""

import asyncio
import json
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
from movieplots.generation.sampling import Sample
from movieplots.generation.sampling_settings import Sampling
from movieplots.measures.novelty_index import Likeness
from movieplots.serving import api
from movieplots.serving.api import create_app
from movieplots.serving.engine import Engine
from movieplots.serving.metrics import Metrics
from movieplots.serving.models import Models, Served, generator_name
from tests.waiting import until

LABELS = ["comedy", "drama", "horror"]
WRITES = generator_info(genre_counts=dict.fromkeys(LABELS, 1))
DETECTS = classifier_info(labels=LABELS)
ERROR = {"code", "message", "where"}


class Scribe:
    """A generator that writes `words` words, `pause` seconds apart, once it may `go`."""

    def __init__(self, titles=True, words=4, pause=0.0, go=None):
        self.info = replace(WRITES, titles=titles)
        self.words, self.pause, self.go, self.writing = words, pause, go, 0

    def check(self, genres, title, opening):
        if unknown := set(genres) - set(LABELS):
            raise BadInput(f"Unknown genre {unknown.pop()!r}.")

    def stream(self, genres, title, opening, *, temperature, top_p, seed, number=0, continue_opening=False):
        self.writing += 1
        try:
            if self.go:
                self.go.wait(20)
            for count in range(1, self.words + 1):
                time.sleep(self.pause)
                yield Sample(
                    ", ".join(genres) or "drama", title or "Salt (2009)",
                    " ".join([opening, *["word"] * count]).strip(), temperature, top_p, seed, count < self.words,
                )  # fmt: skip
        finally:
            self.writing -= 1


class Reader:
    """An engine of a classifier: a plot's logits are decided by the words in it."""

    max_tokens = 6

    def logits(self, texts):
        return np.array([[3.0 if label in text else -3.0 for label in LABELS] for text in texts])

    def logits_without(self, texts, hidden):
        spans = [sorted(each, reverse=True) for each in hidden]
        texts = list(texts)
        for i, places in enumerate(spans):
            for start, end in places:
                texts[i] = texts[i][:start] + "[MASK]" + texts[i][end:]
        return self.logits(texts)

    def lengths(self, texts):
        return [len(text.split()) for text in texts]


class Slow(Reader):
    """A `Reader` that predicts once it may `go`, and counts its predictions: `begun`, and the `most` at a time."""

    def __init__(self):
        self.go, self.lock = threading.Event(), threading.Lock()
        self.begun = self.at_once = self.most = 0

    def logits(self, texts):
        with self.lock:
            self.begun += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.go.wait(20)
        with self.lock:
            self.at_once -= 1
        return super().logits(texts)


def served(name, model, info):
    found = Served(name, None, info, None, model)
    found.loaded.set()
    return found


def app_of(generators=(), classifier=True, novelty=True, reader=None, **settings):
    models = Models([], None)
    for generator in generators:
        name = generator_name(generator.info)
        models.served[name] = served(name, generator, generator.info)
    if classifier:
        models.served["classifier"] = served("classifier", GenreClassifier(reader or Reader(), DETECTS), DETECTS)
    if novelty:
        near = served("novelty", lambda plots: [Likeness("Salt", 0.9, 24, "Salt")] * len(plots), None)
        models.served["novelty"] = near
    models.load = lambda: None
    metrics = Metrics()
    engine = Engine(settings.pop("slots", 4), settings.pop("queue", 8), metrics.count)
    metrics.watch(engine)
    return create_app(models, engine, metrics, **settings)


@pytest.fixture
def client():
    with TestClient(app_of([Scribe()])) as client:
        yield client


def events(answer):
    pairs = [block.split("\n", 1) for block in answer.text.strip().split("\n\n")]
    return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in pairs]


def test_plots_come_in_the_order_of_their_numbers(client):
    answer = client.post("/v1/plots", json={"genres": ["horror"], "n": 3, "seed": 7, "opening": "The sea"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == "with-titles"
    assert [plot["index"] for plot in body["plots"]] == [0, 1, 2]
    assert {plot["plot"] for plot in body["plots"]} == {"The sea word word word word"}
    assert body["plots"][0] | {"index": 0} == {
        "index": 0, "genre": "horror", "title": "Salt (2009)", "plot": "The sea word word word word",
        "temperature": 0.8, "top_p": 0.9, "seed": 7, "finished": True,
    }  # fmt: skip


def test_the_stream_adds_up_to_the_same_plots(client):
    asked = {"genres": ["comedy"], "n": 2, "seed": 7}
    answer = client.post("/v1/plots/stream", json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer)
    assert told[-1] == ("end", {"model": "with-titles"})
    finished = {data["index"]: data for event, data in told if event == "plot"}
    assert [finished[0], finished[1]] == client.post("/v1/plots", json=asked).json()["plots"]
    for index, plot in finished.items():
        assert "".join(d["text"] for e, d in told if e == "text" and d["index"] == index) == plot["plot"]
        assert ("title", {"index": index, "title": "Salt (2009)"}) in told


def test_a_letter_of_several_tokens_is_told_once_it_is_whole():
    class Halves(Scribe):
        def stream(self, *_, **__):
            for plot in ("caf�", "café", "café au lait"):
                time.sleep(0.05)
                yield Sample("drama", "T", plot, 1.0, 0.9, 0, not plot.endswith("lait"))

    with TestClient(app_of([Halves()])) as client:
        told = events(client.post("/v1/plots/stream", json={}))
    assert "".join(data["text"] for event, data in told if event == "text") == "café au lait"


def test_the_generator_is_chosen_by_the_title():
    scribes = [Scribe(titles=False), Scribe()]
    with TestClient(app_of(scribes)) as client:
        assert client.post("/v1/plots", json={}).json()["model"] == "without-titles"
        assert client.post("/v1/plots", json={"title": "Salt"}).json()["model"] == "with-titles"
        assert client.post("/v1/plots", json={"model": "with-titles"}).json()["model"] == "with-titles"
        names = [model["name"] for model in client.get("/v1/models").json()["models"]]
        assert names == ["without-titles", "with-titles", "classifier"]


def test_genres_are_ranked_and_explained(client):
    asked = {"plots": ["a horror house", "nothing"], "titles": ["Salt", ""], "explain": True}
    first, second = client.post("/v1/genres", json=asked).json()["plots"]
    assert first["genres"][0]["genre"] == "horror" and first["genres"][0]["given"]
    assert [genre["given"] for genre in second["genres"]] == [False] * 3
    (word,) = [word for word in first["words"]["horror"] if word["effect"] > 0]
    assert (word["word"], asked["plots"][0][word["start"] : word["end"]]) == ("horror", "horror")
    assert client.post("/v1/genres", json={"plots": ["a b c d e f g h"]}).json()["plots"][0]["tokens_unread"] == 2


def test_keywords_novelty_and_posters(client):
    plot = "Two rival bakers must share an oven for one winter."
    (words,) = client.post("/v1/keywords", json={"plots": [plot], "n": 2}).json()["plots"]
    assert words[0] == "rival bakers" and len(words) == 2
    (near,) = client.post("/v1/novelty", json={"plots": [plot]}).json()["plots"]
    assert near == {"title": "Salt", "similarity": 0.9, "run": 24, "run_title": "Salt", "copied": True}
    poster = client.post("/v1/posters", json={"title": "Salt (2009)", "genres": ["horror"]})
    assert poster.headers["content-type"] == "image/png" and poster.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("plots", {"n": 9}, 422, "invalid", "less than or equal to 8"),
        ("plots", {"genre": "horror"}, 422, "invalid", "not permitted"),
        ("plots", {"genres": ["salad"]}, 422, "bad_input", "Unknown genre 'salad'"),
        ("plots/stream", {"genres": ["salad"]}, 422, "bad_input", "Unknown genre 'salad'"),
        ("plots", {"model": "without-titles"}, 422, "bad_input", "No generator without-titles is served"),
        ("genres", {"plots": []}, 422, "invalid", "at least 1"),
        ("genres", {"plots": [" "]}, 422, "invalid", "pattern"),
        ("genres", {"plots": ["a", "b"], "titles": ["c"]}, 422, "bad_input", "1 titles for 2 plots"),
        ("genres", {"plots": ["a"] * 5, "explain": True}, 422, "bad_input", "At most 4 plots are explained"),
        ("posters", {"provider": "picasso"}, 422, "bad_input", "Unknown provider of posters 'picasso'"),
        ("posters", {"provider": "openai"}, 422, "bad_input", "needs a key in OPENAI_API_KEY"),
        ("plots", {"go_on": True}, 422, "bad_input", "nothing to continue"),
        ("nothing", {}, 404, "not_found", "Not Found"),
    ],
)  # fmt: skip
def test_errors_have_one_shape(client, monkeypatch, path, body, status, code, says):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.keys() == ERROR and error["code"] == code and says in error["message"]


def test_a_body_that_is_no_json_or_too_large(client):
    answer = client.post("/v1/plots", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "invalid"
    large = b" " * 1_000_001
    for content in (large, iter([large])):  # announced, and in chunks
        answer = client.post("/v1/plots", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"


def test_what_is_missing_or_still_loading_says_so():
    app = app_of([Scribe()], classifier=False, novelty=False)
    with TestClient(app) as client:
        for path in ("genres", "novelty"):
            answer = client.post(f"/v1/{path}", json={"plots": ["a"]})
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable"
    slow = Served("classifier", None, DETECTS, None)
    models = Models([], None)
    models.served["classifier"] = slow
    models.load = lambda: None
    with TestClient(create_app(models, Engine(), Metrics())) as client:
        assert client.get("/healthz").status_code == 200
        for answer in (client.get("/readyz"), client.post("/v1/genres", json={"plots": ["a"]})):
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert answer.json()["error"]["code"] == "loading"
        slow.error = "It is broken."
        slow.loaded.set()
        assert "It is broken." in client.get("/readyz").json()["error"]["message"]
        assert client.get("/v1/models").json()["models"][0]["state"] == "failed"


def test_a_full_queue_answers_when_to_come_again():
    scribe = Scribe(go=threading.Event())
    with TestClient(app_of([scribe], slots=1, queue=0)) as client:
        first = threading.Thread(target=client.post, args=("/v1/plots",), kwargs={"json": {}})
        first.start()
        assert until(lambda: scribe.writing)
        answers = [client.post(f"/v1/plots{path}", json={}) for path in ("", "/stream")]
        scribe.go.set()
        first.join()
        for answer in answers:
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "busy"
        assert until(lambda: client.post("/v1/plots", json={}).status_code == 200)


def test_the_deadline():
    with TestClient(app_of([Scribe(words=1000, pause=0.01)], seconds=0.2)) as client:
        answer = client.post("/v1/plots", json={})
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline"
        assert events(client.post("/v1/plots/stream", json={}))[-1][1]["code"] == "deadline"


def test_a_failure_inside_is_a_sentence_and_the_server_goes_on():
    class Broken(Scribe):
        def stream(self, *_, **__):
            raise RuntimeError("secret")

    with TestClient(app_of([Broken()]), raise_server_exceptions=False) as client:
        answer = client.post("/v1/plots", json={})
        assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal"
        assert "secret" not in answer.text
        assert client.get("/healthz").status_code == 200


async def hang_up(app, path, body, when):
    """One request whose client sends its body and hangs up once `when()` holds: the status, which nobody gets."""
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
def test_a_client_that_hangs_up_frees_its_place(path):
    scribe = Scribe(words=10_000, pause=0.01)
    asyncio.run(hang_up(app_of([scribe]), path, {"n": 2}, lambda: scribe.writing == 2))
    assert until(lambda: scribe.writing == 0)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(api, "BETWEEN_LOOKS", 0.01)
    reader = Slow()
    yield reader
    reader.go.set()


def test_work_keeps_its_turn_when_the_client_hangs_up(slow):
    app, asked = app_of(reader=slow), {"plots": ["a horror"]}

    async def clients():
        first = await hang_up(app, "/v1/genres", asked, lambda: slow.begun == 1)
        # The second waits for its turn, hangs up, and is never read.
        second = await hang_up(app, "/v1/genres", asked, lambda: True)
        assert (first, second, slow.at_once) == ([api.GONE], [api.GONE], 1)  # answered while the work goes on
        slow.go.set()
        return await hang_up(app, "/v1/genres", asked, lambda: slow.begun == 2 and not slow.at_once)

    asyncio.run(clients())
    assert until(lambda: slow.begun == 2) and slow.most == 1


def test_work_keeps_its_turn_after_the_deadline(slow):
    with TestClient(app_of(reader=slow, seconds=0.05)) as client:
        asked = {"plots": ["a horror"]}
        assert until(lambda: client.post("/v1/genres", json=asked).status_code == 504 and slow.begun)
        answer = client.post("/v1/genres", json=asked)  # waits for its turn in vain
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
        assert "within 0.05 seconds" in answer.json()["error"]["message"]
        assert slow.begun == 1
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


def test_the_most_words_are_counted_beyond_the_opening(client):
    asked = {"genres": ["horror"], "opening": "The sea gives back", "max_words": 2}
    (plot,) = client.post("/v1/plots", json=asked).json()["plots"]
    assert (plot["plot"], plot["finished"]) == ("The sea gives back word word", False)


def test_a_model_that_writes_nothing_is_said_to_fail():
    with TestClient(app_of([Scribe(words=0)])) as client:
        answer = client.post("/v1/plots", json={"genres": ["horror"]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_the_model_says_how_long_an_opening_may_be():
    def check(genres, title, opening):
        raise BadInput(f"The opening has {len(opening.split())} words.")

    with TestClient(app_of([SimpleNamespace(info=WRITES, check=check)])) as client:
        for path in ("/v1/plots", "/v1/plots/stream"):
            answer = client.post(path, json={"opening": "word " * 3_000, "go_on": True})
            assert (answer.status_code, answer.json()["error"]["message"]) == (422, "The opening has 3000 words.")


def test_too_many_characters_are_refused(client):
    answer = client.post("/v1/keywords", json={"plots": ["word " * 3999] * 6})
    assert answer.status_code == 422 and "more than 100,000 characters" in answer.json()["error"]["message"]


def test_one_server_writes_with_one_model(trained, untitled):
    with pytest.raises(BadInput, match="writes with one model: give one generator"):
        Models([trained[0], untitled], None, backend="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models", "/openapi.json", "/docs"])
def test_head_answers_as_get_without_the_body(client, path):
    asked, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (asked.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == asked.headers["content-type"]


def test_head_of_what_has_no_get_is_refused(client):
    assert client.head("/v1/plots").status_code == 405 and client.head("/v1/nothing").status_code == 404
    operations = [operation for path in client.get("/openapi.json").json()["paths"].values() for operation in path]
    assert "head" not in operations


def test_models_are_described_and_bounds_are_those_of_the_options(client):
    writes, detects = client.get("/v1/models").json()["models"]
    assert (writes["task"], writes["base"], writes["genres"]) == ("generation", "tiny", LABELS)
    assert writes["metrics"]["test_loss_after"] == 3 and detects["metrics"]["micro_f1"] == 0.5
    fields = client.get("/openapi.json").json()["components"]["schemas"]["PlotsRequest"]["properties"]
    assert (fields["temperature"]["exclusiveMinimum"], fields["temperature"]["maximum"]) == (0, 5)
    assert fields["temperature"]["default"] == Sampling.temperature
    assert (fields["n"]["minimum"], fields["n"]["maximum"]) == (1, 8)
    assert (fields["seed"]["minimum"], fields["seed"]["maximum"]) == (0, 2**32 - 1)

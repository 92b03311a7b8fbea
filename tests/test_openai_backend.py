"""The backend for OpenAI-compatible servers: llama.cpp's server, and mock servers that respond like vLLM or fail."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed, Request
from movieplots.generation.backends.loading import load_backend
from movieplots.generation.backends.openai import OpenAIBackend
from movieplots.generation.export import export_gguf, write_gguf
from movieplots.generation.model import load_generator
from movieplots.generation.sampling import PlotGenerator


@pytest.fixture(scope="module")
def llama_server(trained, tmp_path_factory):
    """llama.cpp's server on the generator, with a vocabulary that has no text: the address of its OpenAI-style API."""
    file = tmp_path_factory.mktemp("gguf") / "plots.gguf"
    model, tokenizer, _ = load_generator(trained[0])
    write_gguf(model, tokenizer, file, "f32", "tiny", spelled=False)
    server = llama_cpp(file)
    yield f"{server.listening_address}/v1"
    del server


def llama_cpp(file):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_parallel, params.n_ctx, params.kv_unified = 2, 1024, False
    params.fit_params, params.ui, params.verbosity = False, False, -1
    params.cache_prompt, params.cache_ram_mib = False, 0
    return xllamacpp.Server(params)


def test_a_server_gives_the_same_plots_as_the_local_backend(trained, llama_server):
    there, here = PlotGenerator.from_pretrained(trained[0], llama_server), PlotGenerator.from_pretrained(trained[0])
    assert isinstance(there.backend, OpenAIBackend) and there.backend.context == 512
    asked = {"genres": ["horror"], "n": 3, "temperature": 0.01, "top_p": 0, "max_tokens": 40, "seed": 0}
    written = there.generate(**asked)
    assert [sample.plot for sample in written] == [sample.plot for sample in here.generate(**asked)]
    assert [sample.truncated for sample in written] == [sample.truncated for sample in here.generate(**asked)]
    assert all(sample.title for sample in written)
    *_, last = there.stream(["horror"], temperature=0.01, top_p=0, max_tokens=40, seed=0)
    assert last == written[0]
    wild = there.generate(["horror"], temperature=1.0, seed=1, max_tokens=40)
    assert wild == there.generate(["horror"], temperature=1.0, seed=1, max_tokens=40)
    assert wild != there.generate(["horror"], temperature=1.0, seed=2, max_tokens=40)


def test_generation_stops_at_the_stop_token_without_suppressed_tokens(trained, llama_server):
    backend, tokenizer, _ = load_backend(trained[0], llama_server)
    request = Request(tokenizer.prompt("horror"), tokenizer.end, 60, tuple(tokenizer.suppressed), 2.0)
    answers = dict(backend.decode([replace(request, seed=seed) for seed in range(12)]))
    assert sorted(answers) == list(range(12))
    assert not {token for ids in answers.values() for token in ids} & set(tokenizer.suppressed)
    (common, *_) = answers[0]
    stopped = list(backend.stream(replace(request, seed=0, stop=common)))
    assert stopped == [common]


def test_omitted_tokens_are_detected(trained, tmp_path):
    """With a readable vocabulary llama.cpp's server sends no event for a token within a character."""
    server = llama_cpp(export_gguf(trained[0], tmp_path / "plots.gguf", type="f32"))
    backend, tokenizer, _ = load_backend(trained[0], f"{server.listening_address}/v1")
    request = Request(tokenizer.prompt("horror"), tokenizer.end, 60, tuple(tokenizer.suppressed), 2.0)
    with pytest.raises(BackendFailed, match=r"omitted [0-9]+ tokens of a character"):
        list(backend.decode([replace(request, seed=seed) for seed in range(12)]))


@contextmanager
def serving(answer, models=("plots",)):
    """Serve completions with `answer(body)`: (HTTP status, lines); yields (address, received bodies)."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def send(self, status, text):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self):
            self.send(200, json.dumps({"data": [{"id": name, "max_model_len": 99} for name in models]}))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((body, self.headers.get("Authorization")))
            status, lines = answer(body)
            self.send(status, "".join(f"{line}\n\n" for line in lines))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", got
    finally:
        server.shutdown()


def as_vllm(body):
    """The prompt's ids back in two events, then the stop, the way vLLM streams ids."""
    parts = [body["prompt"][:1], body["prompt"][1:], body["stop_token_ids"]]
    events = [{"choices": [{"index": 0, "text": "x", "token_ids": ids}]} for ids in parts]
    return 200, [*(f"data: {json.dumps(event)}" for event in events), "data: [DONE]"]


REQUEST = Request([3, 1, 4], 9, 20, (7, 8), 0.7, 0.9, seed=5, logit_bias=((6, 2.5), (8, 2.5)))


def test_the_body_of_requests(monkeypatch):
    monkeypatch.setenv("MOVIEPLOTS_BACKEND_KEY", "secret")
    with serving(as_vllm, ("base", "plots")) as (address, got):
        backend = OpenAIBackend(address + "/", "plots")
        assert backend.context == 99
        assert list(backend.stream(REQUEST)) == [3, 1, 4, 9]
        (body, key), *_ = got
        assert key == "Bearer secret"
        expected = {
            "model": "plots", "prompt": [3, 1, 4], "max_tokens": 20, "temperature": 0.7, "top_p": 0.9, "seed": 5,
            "logit_bias": {"6": 2.5, "7": -100, "8": -100}, "top_k": -1, "min_p": 0.0,
        }  # fmt: skip
        assert {name: body[name] for name in expected} == expected
        assert "repetition_penalty" not in body
        list(backend.stream(replace(REQUEST, repetition_penalty=1.2, top_p=0.0)))
        assert got[-1][0]["repetition_penalty"] == 1.2 and got[-1][0]["top_p"] == 1.0
        with pytest.raises(BadInput, match="does not support --no-repeat-ngram-size"):
            list(backend.stream(replace(REQUEST, no_repeat_ngram_size=3)))
        with pytest.raises(BadInput, match="serves base, plots, not other: rename one of its models"):
            OpenAIBackend(address, "other")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, ['data: {"choices": [{"text": "Once"}]}']), "returns text without token ids"),
        ((200, ['data: {"error": {"message": "out of memory"}}']), "failed: .*out of memory"),
        ((400, ["too long"]), "responded with HTTP status 400: too long"),
        ((200, ["data: [1, 2"]), "a response that is not a completion"),
        ((200, ["data: [1, 2]"]), "a response that is not a completion"),
        ((200, ['data: {"choices": [], "timings": {"predicted_n": 2}}']), "omitted 2 tokens of a character"),
        ((200, ['data: {"choices": [{"text": "a", "logprobs": {"content": [{"token": "a"}]}}]}']), "without token ids"),
    ],
)
def test_errors_of_failing_servers(answer, says):
    with serving(lambda body: answer) as (address, _):
        backend = OpenAIBackend(address, "plots")
        with pytest.raises(BackendFailed, match=says):
            list(backend.stream(REQUEST))
        with pytest.raises(BackendFailed, match=says):
            list(backend.decode([REQUEST, REQUEST]))


def test_errors_of_servers_that_do_not_respond(trained):
    with serving(as_vllm) as (address, _):
        backend = OpenAIBackend(address, "plots")
    backend.url = "http://127.0.0.1:9/v1"
    with pytest.raises(BackendFailed, match="does not respond"):
        list(backend.stream(REQUEST))
    with pytest.raises(BadInput, match=r"http://127\.0\.0\.1:9/v1 does not respond like an OpenAI-compatible server"):
        PlotGenerator.from_pretrained(trained[0], "http://127.0.0.1:9/v1")

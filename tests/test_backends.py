"""Tests of both local backends on tiny generators: sampling, stopping, and agreement."""

import itertools
import math
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from movieplots.errors import BadInput
from movieplots.generation import export
from movieplots.generation.agreement import agreement
from movieplots.generation.backends import loading as backends
from movieplots.generation.backends import transformers as transformers_backend
from movieplots.generation.backends.base import Request
from movieplots.generation.backends.llama_cpp import LlamaBackend
from movieplots.generation.backends.loading import choose_backend, load_backend
from movieplots.generation.backends.transformers import TransformersBackend, _Sampler, _settings
from movieplots.generation.export import write_gguf
from movieplots.generation.model import load_generator
from movieplots.generation.prompt_format import PromptTokenizer, SavedTokenizer

NAMES = ["transformers", "llama.cpp"]
ENOUGH = 1000  # samples for comparing frequencies


class Case:
    """A tiny generator with both backends on the same float32 weights."""

    def __init__(self, folder, place):
        self.model, self.tokenizer, _ = load_generator(folder)
        gguf = place / "f32.gguf"
        write_gguf(self.model, self.tokenizer, gguf, "f32", "tiny", spelled=False)
        self.backends = {
            "transformers": TransformersBackend(self.model),
            "llama.cpp": LlamaBackend(gguf, self.model.config.max_position_embeddings),
        }

    def request(self, genre="horror", tokens=40, **options):
        return Request(
            self.tokenizer.prompt(genre), self.tokenizer.end, tokens, tuple(self.tokenizer.suppressed), **options
        )

    def requests(self, tokens=8):
        """Requests of every kind of options, greedy ones too."""
        kinds = [
            {"temperature": 1.0},
            {"temperature": 0.7, "top_p": 0.9},
            {"temperature": 1.3, "min_p": 0.3},
            {"temperature": 1.0, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3},
            {"temperature": 0.0},
        ]
        genres = ["horror", "comedy", "war"]
        return [self.request(genre, tokens + 3 * i, seed=i, **kind) for i, genre in enumerate(genres) for kind in kinds]

    @torch.inference_mode()
    def probabilities(self, request):
        """The model's distribution of the first new token at temperature 1, with bias, without suppressed tokens."""
        scores = self.model(torch.tensor([request.prompt])).logits[0, -1].float()
        for token, added in request.logit_bias:
            scores[token] += added
        scores[list(request.suppressed)] = -torch.inf
        return scores.softmax(-1)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request, tmp_path_factory):
    fixture = {"gpt2": "trained", "llama": "untitled"}[request.param]
    folder = request.getfixturevalue(fixture)
    return Case(folder[0] if isinstance(folder, tuple) else folder, tmp_path_factory.mktemp(request.param))


@pytest.fixture(params=NAMES)
def backend(request, case):
    return case.backends[request.param]


def test_rounding_rarely_changes_a_sampled_token():
    """Scores that differ by 0.001 rarely give other tokens, though 20,000 tokens have similar scores."""
    scores = torch.randn(300, 20_000, generator=torch.Generator().manual_seed(0))
    rounded = scores + 0.001 * torch.randn(scores.shape, generator=torch.Generator().manual_seed(1))
    batch = [(Request([0], 1, 9, temperature=1.0, seed=seed), [0]) for seed in range(300)]
    tokens, others = (_Sampler()._sample(each, _settings(batch[0][0]), batch) for each in (scores, rounded))
    assert (tokens != others).sum() <= 4
    assert len(tokens.unique()) > 200


def decoded(backend, requests):
    found = dict(backend.decode(requests))
    assert sorted(found) == list(range(len(requests)))
    return [found[i] for i in range(len(requests))]


def test_a_request_gives_the_same_ids_alone_in_a_batch_in_any_order_and_streamed(case, backend):
    requests = case.requests()
    together = decoded(backend, requests)
    assert decoded(backend, requests[::-1])[::-1] == together
    for i in (1, 3):
        assert decoded(backend, [requests[i]])[0] == together[i]
        assert list(backend.stream(requests[i])) == together[i]
    assert decoded(backend, [replace(requests[0], seed=77)])[0] != together[0]
    assert list(backend.decode([])) == []


def test_more_requests_than_slots(case, backend):
    requests = [case.request(tokens=4 + i % 5, seed=i) for i in range(80)]
    assert all(1 <= len(ids) <= 4 + i % 5 for i, ids in enumerate(decoded(backend, requests)))


def test_generation_stops_at_the_stop_token_without_suppressed_tokens(case, backend):
    probabilities = case.probabilities(case.request())
    (likely,) = probabilities.topk(1).indices.tolist()
    unlikely = tuple(probabilities.topk(400).indices.tolist()[1:])  # so that the stop comes soon
    for stop in (case.tokenizer.end, likely):
        never = unlikely if stop == case.tokenizer.end else (*unlikely, case.tokenizer.end)
        start = replace(case.request(tokens=200, temperature=2.0), stop=stop, suppressed=never)
        requests = [replace(start, seed=i) for i in range(8)]
        answers = decoded(backend, requests)
        assert all(stop not in ids[:-1] and (ids[-1] == stop or len(ids) == 200) for ids in answers)
        assert not {token for ids in answers for token in ids} & set(never)
        if stop == likely:
            assert any(ids[-1] == stop for ids in answers)
            assert list(backend.stream(requests[0])) == answers[0]


def test_greedy_decoding_agrees(case):
    kinds = [{}, {"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 4}, {"repetition_penalty": 1.5}]
    requests = [
        case.request(genre, 60, temperature=0.0, **kind) for genre in ("horror", "war", "drama") for kind in kinds
    ]
    found = agreement(*(case.backends[name] for name in NAMES), requests)
    assert found.tokens > 360
    assert found.same_text > 0.99  # a tie of two tokens can fall either way
    assert found.same_text >= found.free > 0.5
    assert agreement(*[case.backends["llama.cpp"]] * 2, requests[:2]).free == 1


def test_greedy_decoding_equals_generate(case, backend):
    request = case.request(tokens=50, temperature=0.0, repetition_penalty=1.2, no_repeat_ngram_size=3)
    ids = case.model.generate(
        torch.tensor([request.prompt]), do_sample=False, max_new_tokens=50, eos_token_id=request.stop,
        pad_token_id=request.stop, suppress_tokens=list(request.suppressed), repetition_penalty=1.2,
        no_repeat_ngram_size=3,
    )  # fmt: skip
    assert decoded(backend, [request])[0] == ids[0, len(request.prompt) :].tolist()


def test_no_n_gram_is_repeated(case, backend):
    requests = [case.request(tokens=120, temperature=0.3, no_repeat_ngram_size=2, seed=i) for i in range(6)]
    for request, ids in zip(requests, decoded(backend, requests), strict=True):
        text = request.prompt + ids
        pairs = list(itertools.pairwise(text))
        assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0},
        {"temperature": 0.3, "top_p": 0.6},
        {"temperature": 0.3, "top_p": 0.8, "min_p": 0.05},
        {"temperature": 0.7, "logit_bias": ((270, 4.0), (280, 3.0))},
    ],
)
def test_samples_follow_the_models_distribution(case, backend, options):
    """Pearson's chi-square over twenty groups of tokens of about equal probability; nothing outside the support."""
    base = case.request(tokens=1, **options)
    wanted = _filtered(case.probabilities(base), **options)
    draws = decoded(backend, [replace(base, seed=i) for i in range(ENOUGH)])
    counts = torch.bincount(torch.tensor(draws).flatten(), minlength=len(wanted)).double()
    assert counts[wanted == 0].sum() == 0
    group = ((wanted.cumsum(0) - wanted / 2) * 20).long().clamp(0, 19)
    expected = torch.zeros(20, dtype=torch.float64).index_add_(0, group, wanted * ENOUGH)
    found = torch.zeros(20, dtype=torch.float64).index_add_(0, group, counts)
    there = expected > 0
    chi_square = ((found - expected)[there] ** 2 / expected[there]).sum()
    degrees = int(there.sum()) - 1
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees)


def _filtered(probabilities, temperature, top_p=1.0, min_p=0.0, **_):
    """The distribution after temperature, top-p and min-p, computed from their definitions."""
    p = (probabilities.double().log() / temperature).softmax(0)
    order = p.argsort(descending=True)
    before = p[order].cumsum(0) - p[order]
    p[order[before >= top_p]] = 0
    p[p < min_p * p.max()] = 0
    return p / p.sum()


def test_closing_early_cancels_requests(case):
    long = case.request(tokens=200, temperature=2.0, seed=1)
    long = replace(long, suppressed=(*long.suppressed, long.stop))
    for backend in case.backends.values():
        stream = backend.stream(long)
        next(stream)
        stream.close()
        several = backend.decode([replace(long, seed=i, max_new_tokens=5 if i == 0 else 200) for i in range(20)])
        next(several)
        several.close()
        assert list(backend.stream(replace(long, max_new_tokens=3)))  # and it can be used again
    deadline = time.monotonic() + 120
    servers = [server for _, group in case.backends["llama.cpp"]._servers.values() for server in group]
    while any(_busy(server) for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Watched:
    """Records the managers of a transformers backend; nothing is sampled before `go` is set."""

    def __init__(self, monkeypatch):
        from transformers.generation.continuous_batching import ContinuousBatchingManager as Manager

        self.managers = self.most = 0
        self.seeds = []  # of the requests of each step
        self.go = threading.Event()
        start, stop, draw = Manager.start, Manager.stop, _Sampler.__call__

        def counted_start(manager):
            self.managers += 1
            self.most = max(self.most, self.managers)
            start(manager)

        def counted_stop(manager, **options):
            stop(manager, **options)
            self.managers -= 1

        def watched_sampler(sampler, *arguments):
            assert self.go.wait(60)
            self.seeds.append({request.seed for request, _ in sampler.batch})
            return draw(sampler, *arguments)

        monkeypatch.setattr(Manager, "start", counted_start)
        monkeypatch.setattr(Manager, "stop", counted_stop)
        monkeypatch.setattr(_Sampler, "__call__", watched_sampler)


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_until_idle(backend, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(transformers_backend, "IDLE_POLLS", 0)
        wait_until(lambda: backend._manager is None)
    with backend._lock:  # held until the manager has ended
        pass


def test_streams_of_many_threads_are_one_batch_of_one_manager(case, monkeypatch):
    backend = case.backends["transformers"]
    requests = [case.request(tokens=12, seed=i) for i in range(12)]
    alone = [decoded(backend, [request])[0] for request in requests]
    wait_until_idle(backend, monkeypatch)
    watched = Watched(monkeypatch)
    with ThreadPoolExecutor(12) as threads:
        written = threads.map(lambda request: list(backend.stream(request)), requests)
        wait_until(lambda: len(backend._running) == 12)
        watched.go.set()
        assert list(written) == alone
    assert watched.most == 1
    assert len(watched.seeds[1]) == 12
    wait_until_idle(backend, monkeypatch)
    assert watched.managers == 0


def test_a_request_that_does_not_fit_waits_for_a_larger_manager(case, monkeypatch):
    backend = case.backends["transformers"]
    requests = [case.request(tokens=tokens, seed=tokens) for tokens in (8, 90, 6, 7)]
    alone = [decoded(backend, [request])[0] for request in requests]
    wait_until_idle(backend, monkeypatch)
    monkeypatch.setattr(transformers_backend, "LENGTH_STEP", 32)
    monkeypatch.setattr(transformers_backend, "MIN_BATCH", 1)
    watched = Watched(monkeypatch)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(lambda: list(backend.stream(requests[0])))
        wait_until(lambda: backend._running)
        others = threads.map(lambda request: list(backend.stream(request)), requests[1:])
        wait_until(lambda: len(backend._waiting) == 3)
        watched.go.set()
        assert [first.result(), *others] == alone
    assert watched.most == 1
    assert max(map(len, watched.seeds)) > 1


def test_a_closed_stream_leaves_the_batch(case, monkeypatch):
    backend = case.backends["transformers"]
    watched = Watched(monkeypatch)
    watched.go.set()
    endless = (*case.tokenizer.suppressed, case.tokenizer.end)
    left, stays = (backend.stream(replace(case.request(tokens=400, seed=seed), suppressed=endless)) for seed in (1, 2))
    next(left), next(stays)
    left.close()
    wait_until(lambda: watched.seeds[-1] == {2})
    assert len(list(stays)) == 399
    assert not backend._running


def test_a_failure_is_raised_by_all_waiting_requests_only(case, monkeypatch):
    backend = case.backends["transformers"]
    right = decoded(backend, [case.request(tokens=4)])
    wait_until_idle(backend, monkeypatch)
    monkeypatch.setattr(transformers_backend, "MIN_BATCH", 2)
    monkeypatch.setattr(transformers_backend, "MAX_BATCH_CPU", 2)
    with monkeypatch.context() as patch, ThreadPoolExecutor(3) as threads:
        watched = Watched(patch)
        patch.setattr(transformers_backend, "_settings", lambda request: 1 / 0)
        streams = [threads.submit(lambda: list(backend.stream(case.request()))) for _ in range(3)]
        wait_until(lambda: len(backend._running) == 2 and len(backend._waiting) == 1)
        watched.go.set()
        for stream in streams:
            with pytest.raises(RuntimeError, match="division by zero"):
                stream.result()
        assert watched.managers == 0
    with monkeypatch.context() as patch:  # neither does one that cannot be started keep anybody waiting
        patch.setattr(backend.model, "init_continuous_batching", lambda *_: 1 / 0)
        with pytest.raises(RuntimeError, match="division by zero"):
            decoded(backend, [case.request()])
    assert decoded(backend, [case.request(tokens=4)]) == right


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_exit_during_a_batch_is_clean(trained, name):
    code = f"""
from movieplots import PlotGenerator
from movieplots.generation.sampling import SampleRequest
from movieplots.generation.sampling_settings import Sampling
generator = PlotGenerator.from_pretrained({str(trained[0])!r}, {name!r})
requests = [SampleRequest("horror", Sampling(temperature=2.0), str(i), i) for i in range(24)]
if {name == "transformers"}:
    written = generator.write(requests)  # still there when Python ends
    next(written)
    raise SystemExit(3)
for _ in generator.write(requests):
    raise SystemExit(3)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 3


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_idle_threads_of_torch_are_stopped_and_restarted():
    code = """
import os, time
import torch, xllamacpp
from movieplots.generation.backends.llama_cpp import _release_idle_threads
def threads(wanted):
    deadline = time.monotonic() + 120
    while len(os.listdir("/proc/self/task")) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(os.listdir("/proc/self/task"))
torch.set_num_threads(3)
before = len(os.listdir("/proc/self/task"))
values = torch.arange(1e6)
first = values.exp().sum()
assert threads(before + 2) == before + 2
_release_idle_threads()
assert threads(before) == before
assert values.exp().sum() == first
assert threads(before + 2) == before + 2
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def _busy(server):
    asked = urllib.request.Request(f"http://{server.address}/slots", headers={"Authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(asked) as answer:
        return b'"is_processing":true' in answer.read()


def test_a_failing_backend_raises_instead_of_waiting(case, monkeypatch):
    monkeypatch.setattr(case.model, "forward", lambda **_: 1 / 0)
    with pytest.raises(RuntimeError, match="division by zero"):
        decoded(case.backends["transformers"], case.requests()[:2])
    too_long = replace(case.request(), prompt=[9] * 5000)
    decoded(case.backends["llama.cpp"], [case.request(), case.request()])
    monkeypatch.setattr(LlamaBackend, "_ready", lambda self, _, alone: self._servers[False][1])
    with pytest.raises(RuntimeError, match="HTTP status 400"):
        decoded(case.backends["llama.cpp"], [too_long])


def test_the_choice_of_a_backend(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(backends, "_has_gpu", lambda: True)
    assert choose_backend() == "transformers"
    monkeypatch.setattr(backends, "_has_gpu", lambda: False)
    assert choose_backend() == choose_backend("llama.cpp") == "llama.cpp"
    assert choose_backend("transformers") == "transformers"
    with pytest.raises(BadInput, match="choose auto, transformers"):
        choose_backend("gpu")
    assert not capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # as if it were not installed
    assert choose_backend() == "transformers"
    assert "pip install xllamacpp" in capsys.readouterr().err
    with pytest.raises(BadInput, match="pip install xllamacpp"):
        choose_backend("llama.cpp")
    monkeypatch.delitem(sys.modules, "xllamacpp")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open')", encoding="utf-8")
    with pytest.raises(BadInput, match=r"libgomp.so.1: cannot open.*apt-get install libgomp1"):
        choose_backend("llama.cpp")


def test_an_architecture_without_gguf_uses_transformers(untitled, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "_PARAMETERS", {})
    monkeypatch.setenv("MOVIEPLOTS_CACHE", str(tmp_path))
    backend, _, _ = load_backend(untitled)
    assert backend.name == "transformers"
    assert "Using transformers instead" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(BadInput, match="GGUF export supports the model types"):
        load_backend(untitled, "llama.cpp")


def test_llama_needs_no_torch(trained):
    load_backend(trained[0], "llama.cpp")  # converts it, where that is not done yet
    code = f"""
import sys
from movieplots import PlotGenerator
samples = PlotGenerator.from_pretrained({str(trained[0])!r}, "llama.cpp").generate(["horror"], n=2, max_tokens=5)
assert len(samples) == 2
assert not {{"torch", "transformers"}} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("fixture", ["trained", "untitled"])
def test_saved_tokenizer_equals_that_of_transformers(fixture, request):
    from transformers import AutoTokenizer

    folder = request.getfixturevalue(fixture)
    folder = folder[0] if isinstance(folder, tuple) else folder
    _, whole, info = load_generator(folder)
    for tokenizer in (SavedTokenizer(folder), AutoTokenizer.from_pretrained(folder)):
        light = PromptTokenizer.of(tokenizer, info)
        assert (light.special_tokens, light.end, light.suppressed) == (
            whole.special_tokens,
            whole.end,
            whole.suppressed,
        )
        for text in ("The sea gives back what it took.", "Zoë’s 3rd café <|endoftext|> – «no» 🧟", "  two  blanks "):
            ids = whole.encode(text)
            assert light.encode(text) == ids
            assert light.read([*ids, light.end], has_title=True) == whole.read([*ids, whole.end], has_title=True)
    with pytest.raises(BadInput, match="missing or damaged"):
        SavedTokenizer(folder / "nowhere")

"""The backend for CPUs: llama.cpp through the package `xllamacpp`, on a GGUF file of the model.

A batch runs on one server a core, each with a single thread and its own slots: that beats one server with a thread a
core, whose threads wait for each other hundreds of times a token, and far more so where other programs want the cores
too. Streams share one server that has all cores: one alone is faster so, many together are nearly as fast, and a third
of the memory does. Servers start with the first request that needs them, and are spoken to over HTTP on this machine,
under a random key: their native interface is the only one that hands out token ids, tokenising text again would not
give the same ones.
"""

import contextlib
import ctypes
import http.client
import json
import secrets
import select
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from movieplots.generation.backends.base import Decoded, Request, Tokens, decode_in_threads
from movieplots.pretrained.batches import core_count
from movieplots.settings import Json

SLOTS = 16  # a core; 32 take twice the memory, and a whole grid is done no sooner
SMALL = 32e6  # bytes; a model below that is through a step before a second thread has woken up
PATIENCE = 0.2  # seconds between two looks whether an answer is still wanted
TRIES = 3  # to hand in a request
GRAIN = 256  # tokens: contexts are rounded up to this, so that few servers have to be started anew


class LlamaBackend:
    """Decodes with llama.cpp. `gguf` is a file that `write_gguf` made with `spelled=False`."""

    name = "llama.cpp"

    def __init__(self, gguf: str | Path, context: int) -> None:
        self.gguf, self.context = str(gguf), context
        self.cores = core_count()
        self.threads = 1 if Path(gguf).stat().st_size < SMALL else self.cores
        self._servers: dict[bool, tuple[int, list[_Server]]] = {}
        self._starting = threading.Lock()
        self._streams = 0
        self._counting = threading.Lock()

    def decode(self, requests: Sequence[Request]) -> Decoded:
        if not requests:
            return
        servers = self._ready(requests, alone=len(requests) == 1)
        in_turns = servers * min(SLOTS, len(requests))  # so that few requests are shared by all cores
        yield from decode_in_threads(requests, [server.complete for server in in_turns])

    def stream(self, request: Request) -> Tokens:
        (server,) = self._ready([request], alone=True)
        with self._counted(), contextlib.closing(server.stream(request)) as tokens:
            yield from tokens

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._streams += 1
            if self._streams == 1 and self.threads > 1:
                _dismiss_idle_threads()
        try:
            yield
        finally:
            with self._counting:
                self._streams -= 1

    def _ready(self, requests: Sequence[Request], alone: bool) -> "list[_Server]":
        """Servers that hold the longest of these requests: with `alone` one that has all cores, else one a core."""
        longest = max(len(request.prompt) + request.max_new_tokens for request in requests)
        with self._starting:
            room, servers = self._servers.get(alone, (0, []))
            if room < longest:
                room = -(-longest // GRAIN) * GRAIN
                count, threads = (1, self.threads) if alone else (self.cores, 1)
                self._servers.pop(alone, None)
                servers = [_Server(self.gguf, SLOTS, room, threads) for _ in range(count)]
                self._servers[alone] = room, servers
            return servers


class _Server:
    """One llama.cpp server inside this process, with `slots` places for requests of at most `room` tokens each."""

    def __init__(self, gguf: str, slots: int, room: int, threads: int) -> None:
        import xllamacpp

        self.key = secrets.token_hex()
        params = xllamacpp.CommonParams()
        params.model.path = gguf
        params.n_parallel = slots
        params.n_ctx = slots * room
        # With a cache of its own for each slot, a request's numbers are bit for bit the same in any company; one pool
        # for all is about as fast, but sums in another order each time, and then the same seed writes other plots.
        params.kv_unified = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_threads_http = slots + 2
        params.api_keys = [self.key]
        params.cache_prompt, params.cache_ram_mib = False, 0  # what ran before must not matter
        params.fit_params, params.ui, params.verbosity = False, False, -1
        self.server = xllamacpp.Server(params)
        self.address = self.server.listening_address.removeprefix("http://")

    def complete(self, request: Request, left: threading.Event) -> list[int] | None:
        """The new ids in one piece, which spares an event a token; None, and the request ended, once `left` is set."""
        with self._asked(request, streamed=False) as connection:
            while not select.select([connection.sock], [], [], PATIENCE)[0]:
                if left.is_set():
                    return None
            ids = json.loads(_checked(connection.getresponse()).read())["tokens"]
        return ids[: ids.index(request.stop) + 1] if request.stop in ids else ids

    def stream(self, request: Request) -> Tokens:
        """The new ids one by one; leaving the iterator early ends the request."""
        with self._asked(request, streamed=True) as connection:
            for line in _checked(connection.getresponse()):
                if line.startswith(b"error:"):
                    raise RuntimeError(f"llama.cpp failed: {line.decode(errors='replace')}")
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                yield from event["tokens"]
                if event["stop"] or request.stop in event["tokens"]:
                    return

    @contextlib.contextmanager
    def _asked(self, request: Request, streamed: bool) -> Iterator[http.client.HTTPConnection]:
        """A connection on which the request has been sent; closing it hangs up, which ends the request."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        body = json.dumps(_body(request, streamed)).encode()
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            for left in reversed(range(TRIES)):
                try:
                    connection.request("POST", "/completion", body, headers)
                    break
                except (BrokenPipeError, ConnectionResetError):
                    # On a machine that is busy with other things the server gives a slow sender up.
                    connection.close()
                    if not left:
                        raise
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection


def _dismiss_idle_threads() -> None:
    """End the threads that torch keeps ready for its next use in this thread; it starts new ones then.

    Both share GNU's OpenMP, which lets threads fall asleep at once where it keeps more of them than there are cores.
    The threads of a stream wait for each other hundreds of times a token: it took three times as long.
    """
    if sys.platform == "linux":
        ctypes.CDLL("libgomp.so.1").omp_pause_resource_all(1)  # 1 is `omp_pause_soft`


def _checked(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status != http.client.OK:
        raise RuntimeError(f"llama.cpp answered {answer.status}: {answer.read(500).decode(errors='replace')}")
    return answer


def _body(request: Request, streamed: bool) -> dict[str, Json]:
    """A request in llama.cpp's terms; the order of samplers is that of transformers."""
    whole = len(request.prompt) + request.max_new_tokens
    samplers = ["penalties", "dry", "temperature", "top_p", "min_p"]
    body: dict[str, Json] = {
        "prompt": request.prompt,
        "n_predict": request.max_new_tokens,
        "stream": streamed,
        "return_tokens": True,
        "seed": request.seed,
        "samplers": samplers,
        "temperature": request.temperature,
        "top_p": request.top_p or 1.0,
        "min_p": request.min_p,
        "repeat_penalty": request.repetition_penalty,
        "repeat_last_n": whole,
        "logit_bias": [[token, False] for token in request.suppressed],
    }
    if request.no_repeat_ngram_size:
        # DRY takes from the score of a token that would go on with a repetition of at least the allowed length; with an
        # infinite penalty that does not grow, it forbids every n-gram but the first of its kind. The breaker, which
        # ends what counts as one repetition, is a sign that no text has.
        body |= {
            "dry_multiplier": 1e9,
            "dry_base": 1.0,
            "dry_allowed_length": request.no_repeat_ngram_size - 1,
            "dry_penalty_last_n": whole,
            "dry_sequence_breakers": ["\U0010ffff"],
        }
    return body

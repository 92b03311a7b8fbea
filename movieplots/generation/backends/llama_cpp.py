"""The backend for CPUs: llama.cpp through the package `xllamacpp`, with a GGUF file of the model.

A batch runs on one server per core, each with one thread and its own slots. One server with a thread per core is
slower, because its threads synchronize hundreds of times per token, and much slower if other programs use the cores
too. Streams share one server that uses all cores: a single stream is faster this way, many streams are nearly as fast,
and it needs a third of the memory.

Servers start with the first request that needs them. Requests use HTTP on the local machine with a random API key,
because only llama.cpp's native HTTP API returns token ids, and tokenizing the text again may give different ids.
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

SLOTS = 16  # per core; 32 need twice the memory without being faster
SMALL_MODEL = 32e6  # bytes; smaller models finish a step before a second thread has started
POLL_SECONDS = 0.2  # between two checks whether a request was cancelled
CONNECTION_ATTEMPTS = 3
LENGTH_STEP = 256  # tokens; lengths are rounded up to a multiple of this, so that servers are rarely restarted


class LlamaBackend:
    """Continues token ids with llama.cpp; `gguf` is a file that `write_gguf` wrote with `spelled=False`."""

    name = "llama.cpp"

    def __init__(self, gguf: str | Path, context: int) -> None:
        self.gguf, self.context = str(gguf), context
        self.cores = core_count()
        self.threads = 1 if Path(gguf).stat().st_size < SMALL_MODEL else self.cores
        self._servers: dict[bool, tuple[int, list[_Server]]] = {}
        self._starting = threading.Lock()
        self._streams = 0
        self._counting = threading.Lock()

    def decode(self, requests: Sequence[Request]) -> Decoded:
        """Yield (index of the request, its new ids) whenever a request finishes."""
        if not requests:
            return
        servers = self._ready(requests, alone=len(requests) == 1)
        slots = servers * min(SLOTS, len(requests))  # alternates between servers, so that all cores get requests
        yield from decode_in_threads(requests, [server.complete for server in slots])

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids of one request one by one."""
        (server,) = self._ready([request], alone=True)
        with self._counted(), contextlib.closing(server.stream(request)) as tokens:
            yield from tokens

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._streams += 1
            if self._streams == 1 and self.threads > 1:
                _release_idle_threads()
        try:
            yield
        finally:
            with self._counting:
                self._streams -= 1

    def _ready(self, requests: Sequence[Request], alone: bool) -> "list[_Server]":
        """Return servers with room for the longest request: with `alone` one that uses all cores, else one per core."""
        longest = max(len(request.prompt) + request.max_new_tokens for request in requests)
        with self._starting:
            length, servers = self._servers.get(alone, (0, []))
            if length < longest:
                length = -(-longest // LENGTH_STEP) * LENGTH_STEP
                count, threads = (1, self.threads) if alone else (self.cores, 1)
                self._servers.pop(alone, None)
                servers = [_Server(self.gguf, SLOTS, length, threads) for _ in range(count)]
                self._servers[alone] = length, servers
            return servers


class _Server:
    """A llama.cpp server inside this process with `slots` slots for requests of at most `length` tokens each."""

    def __init__(self, gguf: str, slots: int, length: int, threads: int) -> None:
        import xllamacpp

        self.key = secrets.token_hex()
        params = xllamacpp.CommonParams()
        params.model.path = gguf
        params.n_parallel = slots
        params.n_ctx = slots * length
        # With a separate cache per slot, results do not depend on the other requests in the batch. A unified cache is
        # about as fast, but changes the order of summation, so the same seed would give different plots.
        params.kv_unified = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_threads_http = slots + 2
        params.api_keys = [self.key]
        params.cache_prompt, params.cache_ram_mib = False, 0  # so that results do not depend on earlier requests
        params.fit_params, params.ui, params.verbosity = False, False, -1
        self.server = xllamacpp.Server(params)
        self.address = self.server.listening_address.removeprefix("http://")

    def complete(self, request: Request, cancelled: threading.Event) -> list[int] | None:
        """Return all new ids at the end, without an event per token; cancels and returns None if `cancelled` is set."""
        with self._sent(request, streamed=False) as connection:
            while not select.select([connection.sock], [], [], POLL_SECONDS)[0]:
                if cancelled.is_set():
                    return None
            ids = json.loads(_checked(connection.getresponse()).read())["tokens"]
        return ids[: ids.index(request.stop) + 1] if request.stop in ids else ids

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids one by one; closing the iterator early cancels the request."""
        with self._sent(request, streamed=True) as connection:
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
    def _sent(self, request: Request, streamed: bool) -> Iterator[http.client.HTTPConnection]:
        """Send the request and provide its connection; closing the connection cancels the request."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        body = json.dumps(_body(request, streamed)).encode()
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            for left in reversed(range(CONNECTION_ATTEMPTS)):
                try:
                    connection.request("POST", "/completion", body, headers)
                    break
                except (BrokenPipeError, ConnectionResetError):
                    # On a busy machine the server drops slow connections.
                    connection.close()
                    if not left:
                        raise
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection


def _release_idle_threads() -> None:
    """Stop the idle threads of torch's thread pool; torch starts new ones at its next use.

    torch and llama.cpp share GNU's OpenMP. If it has more threads than cores, waiting threads sleep immediately instead
    of spinning. The threads of a stream synchronize hundreds of times per token, which then takes three times as long.
    """
    if sys.platform == "linux":
        ctypes.CDLL("libgomp.so.1").omp_pause_resource_all(1)  # 1 is `omp_pause_soft`


def _checked(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status != http.client.OK:
        body = answer.read(500).decode(errors="replace")
        raise RuntimeError(f"llama.cpp responded with HTTP status {answer.status}: {body}")
    return answer


def _body(request: Request, streamed: bool) -> dict[str, Json]:
    """Return the body of a request to llama.cpp; the order of its samplers is that of transformers."""
    length = len(request.prompt) + request.max_new_tokens
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
        "repeat_last_n": length,
        "logit_bias": [*([token, False] for token in request.suppressed), *map(list, request.logit_bias)],
    }
    if request.no_repeat_ngram_size:
        # The DRY sampler lowers the score of tokens that would extend a repetition beyond the allowed length. With a
        # very high and constant penalty it prevents repeated n-grams. Its sequence breaker, which resets the detection
        # of repetitions, is a character that does not occur in texts.
        body |= {
            "dry_multiplier": 1e9,
            "dry_base": 1.0,
            "dry_allowed_length": request.no_repeat_ngram_size - 1,
            "dry_penalty_last_n": length,
            "dry_sequence_breakers": ["\U0010ffff"],
        }
    return body

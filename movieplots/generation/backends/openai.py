"""The backend for servers with OpenAI's completions API, such as vLLM or llama.cpp's server.

Prompts are sent as token ids, so that special tokens stay single tokens, and the response must contain token ids: vLLM
returns them with `return_token_ids`, llama.cpp's server with the log-probabilities. Servers that return only text are
not supported. llama.cpp's server omits tokens within a character that consists of several tokens; then the request
fails. Batching is left to the server.
"""

import contextlib
import json
import os
import threading
from collections.abc import Sequence

from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed, Decoded, Request, Tokens, decode_in_threads
from movieplots.settings import Json

KEY_VARIABLE = "MOVIEPLOTS_BACKEND_KEY"  # environment variable with the server's API key, if it needs one
MAX_CONCURRENT_REQUESTS = 64
DEFAULT_CONTEXT = 8192  # tokens, if the server does not report its context length
TIMEOUT = 60.0  # seconds without a token


class OpenAIBackend:
    """Continues token ids on an OpenAI-compatible server.

    `url` is the address of the server, such as `http://localhost:8000/v1`, and `model` the name of the model there. If
    the server has only one model, its name is ignored. Raises BadInput if the server does not respond as expected.
    """

    def __init__(self, url: str, model: str) -> None:
        import httpx

        self.name = self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {os.environ[KEY_VARIABLE]}"} if os.environ.get(KEY_VARIABLE) else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # servers close idle connections
        self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(TIMEOUT, connect=5), limits=limits)
        try:
            answer = self._http.get(f"{self.url}/models").raise_for_status().json()
            models = {model["id"]: model for model in answer["data"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{self.url} does not respond like an OpenAI-compatible server ({error or type(error).__name__}): "
                f"check the address, which usually ends in /v1, and set {KEY_VARIABLE} if the server needs an API key."
            ) from None
        if model not in models and len(models) != 1:
            served = ", ".join(models) or "no model"
            raise BadInput(f"{self.url} serves {served}, not {model}: rename one of its models.")
        self.model = model if model in models else next(iter(models))
        entry = models[self.model]
        self.context = int(entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx") or DEFAULT_CONTEXT)

    def decode(self, requests: Sequence[Request]) -> Decoded:
        """Yield (index of the request, its new ids) whenever a request finishes."""
        return decode_in_threads(requests, [self._complete] * min(MAX_CONCURRENT_REQUESTS, len(requests)))

    def _complete(self, request: Request, cancelled: threading.Event) -> list[int] | None:
        ids = []
        with contextlib.closing(self.stream(request)) as tokens:
            for token in tokens:
                if cancelled.is_set():
                    return None
                ids.append(token)
        return ids

    def stream(self, request: Request) -> Tokens:
        """Yield the new ids of one request one by one."""
        import httpx

        try:
            with self._http.stream("POST", f"{self.url}/completions", json=self._body(request)) as answer:
                if answer.is_error:
                    raise BackendFailed(
                        f"{self.url} responded with HTTP status {answer.status_code}: "
                        f"{' '.join(answer.read().decode().split())[:300]}"
                    )
                count = 0
                for line in answer.iter_lines():
                    if not line.startswith("data:") or line.endswith("[DONE]"):
                        continue
                    ids, written = self._ids(line[5:])
                    count += len(ids)
                    if written > count:
                        raise BackendFailed(
                            f"{self.url} omitted {written - count} tokens of a character: use a server that returns "
                            "all token ids, such as vLLM."
                        )
                    for token in ids:
                        yield token
                        if token == request.stop:
                            return
        except httpx.HTTPError as error:
            raise BackendFailed(f"{self.url} does not respond ({str(error) or type(error).__name__}).") from None

    def _body(self, request: Request) -> dict[str, Json]:
        if request.no_repeat_ngram_size:
            raise BadInput(
                f"{self.url} does not support --no-repeat-ngram-size: omit this option, or use a local backend."
            )
        body: dict[str, Json] = {
            "model": self.model,
            "prompt": request.prompt,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p or 1.0,
            "seed": request.seed,
            "logit_bias": {str(token): added for token, added in request.logit_bias}
            | {str(token): -100 for token in request.suppressed},
            "stream": True,
            # Extensions of OpenAI's API: samplers that some servers enable by default, the stop token, and token ids.
            "top_k": -1,
            "min_p": request.min_p,
            "stop_token_ids": [request.stop],
            "include_stop_str_in_output": True,
            "return_token_ids": True,
            "logprobs": 1,
            "timings_per_token": True,
        }
        if request.repetition_penalty != 1:
            body["repetition_penalty"] = body["repeat_penalty"] = request.repetition_penalty
        return body

    def _ids(self, data: str) -> tuple[list[int], int]:
        """Parse an event of the stream: (new ids, number of tokens so far or 0 if the server does not report it)."""
        try:
            event = json.loads(data)
            if "error" in event:
                raise BackendFailed(f"{self.url} failed: {str(event['error'])[:300]}")
            ids: list[int] = []
            for choice in event.get("choices", []):
                content = (choice.get("logprobs") or {}).get("content")
                if choice.get("token_ids") is not None:
                    ids += choice["token_ids"]
                elif content is not None and all("id" in token for token in content):
                    ids += [token["id"] for token in content]
                elif choice.get("text"):
                    raise BackendFailed(f"{self.url} returns text without token ids: use another server, such as vLLM.")
            return ids, int((event.get("timings") or {}).get("predicted_n") or 0)
        except (ValueError, TypeError, AttributeError):
            raise BackendFailed(f"{self.url} sent a response that is not a completion.") from None

"""A backend for those who outgrow one machine: the generator runs in a server with OpenAI's completions API.

Prompts go out as token ids, so that marks stay single tokens, and token ids must come back: vLLM sends them when asked
(`return_token_ids`), llama.cpp's server beside its log-probabilities. A server that sends only text cannot be used, and
llama.cpp's keeps back tokens inside a letter that takes several of them: where it does, the plot is given up.
How many texts are written at once, and how they are batched, is the server's business.
"""

import contextlib
import json
import os
import threading
from collections.abc import Sequence

from movieplots.errors import BadInput
from movieplots.generation.backends.base import BackendFailed, Decoded, Request, Tokens, decode_in_threads
from movieplots.settings import Json

KEY = "MOVIEPLOTS_BACKEND_KEY"  # environment: the server's API key, where it wants one
AT_ONCE = 64  # requests of a batch that are with the server at the same time
CONTEXT = 8192  # tokens, where the server does not tell
SECONDS = 60.0  # without any token


class OpenAIBackend:
    """Decodes on the server at `url` (such as `http://localhost:8000/v1`) with the model called `model` there.

    Where the server has one model only, its name does not matter. Raises BadInput where it does not answer so.
    """

    def __init__(self, url: str, model: str) -> None:
        import httpx

        self.name = self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {os.environ[KEY]}"} if os.environ.get(KEY) else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # servers hang up unasked
        self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(SECONDS, connect=5), limits=limits)
        try:
            answer = self._http.get(f"{self.url}/models").raise_for_status().json()
            models = {model["id"]: model for model in answer["data"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{self.url} does not answer as an OpenAI-compatible server does ({error or type(error).__name__}): "
                f"its address ends in /v1 as a rule, and a key belongs into {KEY}."
            ) from None
        if model not in models and len(models) != 1:
            raise BadInput(f"{self.url} serves {', '.join(models) or 'no model'}: give one of them the name {model}.")
        self.model = model if model in models else next(iter(models))
        entry = models[self.model]
        self.context = int(entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx") or CONTEXT)

    def decode(self, requests: Sequence[Request]) -> Decoded:
        return decode_in_threads(requests, [self._complete] * min(AT_ONCE, len(requests)))

    def _complete(self, request: Request, left: threading.Event) -> list[int] | None:
        ids = []
        with contextlib.closing(self.stream(request)) as tokens:
            for token in tokens:
                if left.is_set():
                    return None
                ids.append(token)
        return ids

    def stream(self, request: Request) -> Tokens:
        import httpx

        try:
            with self._http.stream("POST", f"{self.url}/completions", json=self._body(request)) as answer:
                if answer.is_error:
                    raise BackendFailed(
                        f"{self.url} answered {answer.status_code}: {' '.join(answer.read().decode().split())[:300]}"
                    )
                count = 0
                for line in answer.iter_lines():
                    if not line.startswith("data:") or line.endswith("[DONE]"):
                        continue
                    ids, written = self._ids(line[5:])
                    count += len(ids)
                    if written > count:
                        raise BackendFailed(f"{self.url} kept back {written - count} tokens of a letter: use vLLM.")
                    for token in ids:
                        yield token
                        if token == request.stop:
                            return
        except httpx.HTTPError as error:
            raise BackendFailed(f"{self.url} does not answer ({str(error) or type(error).__name__}).") from None

    def _body(self, request: Request) -> dict[str, Json]:
        if request.no_repeat_ngram_size:
            raise BadInput(f"{self.url} cannot forbid n-grams: leave that option out, or use a backend here.")
        body: dict[str, Json] = {
            "model": self.model,
            "prompt": request.prompt,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p or 1.0,
            "seed": request.seed,
            "logit_bias": {str(token): -100 for token in request.suppressed},
            "stream": True,
            # Beyond OpenAI's own: samplers that some servers have on by default, the end, and the ids of tokens.
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
        """(the new ids in an event of the stream, how many were written so far: 0 where the server does not tell)."""
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
                    raise BackendFailed(f"{self.url} sends text without the ids of its tokens, so it cannot be used.")
            return ids, int((event.get("timings") or {}).get("predicted_n") or 0)
        except (ValueError, TypeError, AttributeError):
            raise BackendFailed(f"{self.url} answered with something that is no completion.") from None

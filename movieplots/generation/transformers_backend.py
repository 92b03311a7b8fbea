"""The reference backend: the continuous batching of transformers, on the GPU where there is one.

The library schedules requests, keeps their caches in pages and refills the batch. Its sampling draws from one generator
for the whole batch and drops what needs a request's history; so a processor of ours stands at the end of its chain: it
applies transformers' own logits processors to each request and draws from the request's own seed. It runs outside of
CUDA graphs, because it reads what the requests have written so far.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from movieplots.generation.backends import Decoded, Request, Tokens
from movieplots.generation.model import context_of

ROWS_ON_CPU, ROWS_ON_GPU = 32, 256
PAGE = 32  # tokens


class TransformersBackend:
    """Decodes with a causal language model of transformers."""

    name = "transformers"

    def __init__(self, model: Any) -> None:
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.context = context_of(model)

    def decode(self, requests: Sequence[Request]) -> Decoded:
        with self._batch(requests) as results:
            for result in results:
                if result.is_finished():
                    yield int(result.request_id), result.generated_tokens

    def stream(self, request: Request) -> Tokens:
        given = 0
        with self._batch([request], streaming=True) as results:
            for result in results:
                yield from result.generated_tokens[given:]
                given = len(result.generated_tokens)

    @contextmanager
    def _batch(self, requests: Sequence[Request], streaming: bool = False) -> Iterator[Iterator[Any]]:
        """Start decoding in the background; left early, what is still running is given up."""
        rows = min(len(requests), ROWS_ON_GPU if self.model.device.type == "cuda" else ROWS_ON_CPU)
        longest = max((len(request.prompt) + request.max_new_tokens for request in requests), default=1)
        pages = math.ceil(longest / PAGE) + 1
        # The library would take most of the free memory for the cache: this is what the batch can need at most.
        config = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=rows * pages,
            max_batch_tokens=max(rows, min(longest, 512)),
            max_requests_per_batch=rows,
            allow_block_sharing=False,
            use_async_batching=False,
            use_cuda_graph=False,
            safety_margin=0.0,
        )
        greedy = GenerationConfig(do_sample=False, eos_token_id=-1)  # the draws are made by then
        manager = self.model.init_continuous_batching(greedy, config)
        manager.logit_processor = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([_Draws()]))
        manager.logit_processor.tensors_required = 1
        manager.start()
        try:
            for number, request in enumerate(requests):
                manager.add_request(
                    request.prompt,
                    request_id=str(number),
                    max_new_tokens=request.max_new_tokens,
                    eos_token_id=request.stop,
                    streaming=streaming,
                    request=request,
                )
            yield _results(manager, len(requests))
        finally:
            manager.stop(hard_stop=True)


def _results(manager: Any, count: int) -> Iterator[Any]:
    """What the manager puts out until so many requests are finished."""
    while count:
        result = manager.get_result(timeout=1)
        if result is None:
            if not manager.is_running():
                cause = manager.background_thread_status.fatal_error
                raise RuntimeError("The backend stopped before it was done.") from cause
            continue
        if result.error:
            raise RuntimeError(f"The backend failed: {result.error}")
        count -= result.is_finished()
        yield result


class _Draws(ContinuousBatchingLogitsProcessor):
    """From the scores of the batch to one token for each request, which is left with a score of 0, all others -inf."""

    supported_kwargs = {"request": Request}  # noqa: RUF012
    ignored_kwargs = ()

    def __init__(self) -> None:
        self.batch: list[tuple[Request, list[int]]] = []  # each request with its ids so far, prompt included
        self.known: dict[tuple[Any, ...], tuple[LogitsProcessorList, LogitsProcessorList]] = {}

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        states = [each.state for each in requests_with_new_token]
        self.batch = [
            (state.logit_processor_kwargs["request"], state.initial_tokens + state.generated_tokens) for state in states
        ]
        return torch.zeros(len(states), dtype=torch.int32)  # the chain passes numbers only; ours are in `batch`

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """`scores` (requests, vocabulary) -> the same shape."""
        alike: dict[tuple[Any, ...], list[int]] = {}
        for row, (request, _) in enumerate(self.batch):
            alike.setdefault(_settings(request), []).append(row)
        tokens = torch.empty(len(self.batch), 1, dtype=torch.long, device=scores.device)
        for settings, rows in alike.items():
            tokens[rows] = self._draw(scores[rows], settings, [self.batch[row] for row in rows])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)

    def _draw(
        self, scores: torch.Tensor, settings: tuple[Any, ...], batch: list[tuple[Request, list[int]]]
    ) -> torch.Tensor:
        """One token for each of these requests, which share their settings; shape (requests, 1)."""
        if settings not in self.known:
            self.known[settings] = _processors(batch[0][0], scores.device)
        of_history, of_scores = self.known[settings]
        if of_history:
            rows = zip(batch, scores.split(1), strict=True)
            scores = torch.cat([of_history(torch.tensor([ids], device=row.device), row) for (_, ids), row in rows])
        scores = of_scores(None, scores)
        if batch[0][0].temperature == 0:
            return scores.argmax(-1, keepdim=True)
        # An exponential race, as in torch.multinomial: rounding, which differs with the size of the batch, moves a draw
        # only where two tokens are nearly level, while a walk along the summed probabilities has an edge at each token.
        generator = torch.Generator(scores.device)
        noise = torch.empty(scores.shape, dtype=torch.float64, device=scores.device)
        for row, (request, ids) in zip(noise, batch, strict=True):
            generator.manual_seed(_seed(request.seed, len(ids) - len(request.prompt)))
            row.uniform_(generator=generator)
        return (scores.softmax(-1, dtype=torch.float64) / noise.log_().neg_()).argmax(-1, keepdim=True)


def _seed(seed: int, position: int) -> int:
    """A seed that depends on the sample and the place in it alone."""
    return random.Random(f"{seed}-{position}").getrandbits(63)


def _settings(request: Request) -> tuple[Any, ...]:
    return (
        request.suppressed, request.temperature, request.top_p, request.min_p, request.repetition_penalty,
        request.no_repeat_ngram_size,
    )  # fmt: skip


def _processors(request: Request, device: torch.device) -> tuple[LogitsProcessorList, LogitsProcessorList]:
    """(those that read what a request has written so far, those that need its scores only), in transformers' order."""
    of_history: list[LogitsProcessor] = []
    if request.repetition_penalty != 1:
        of_history.append(RepetitionPenaltyLogitsProcessor(request.repetition_penalty))
    if request.no_repeat_ngram_size:
        of_history.append(NoRepeatNGramLogitsProcessor(request.no_repeat_ngram_size))
    of_scores: list[LogitsProcessor] = []
    if request.suppressed:
        of_scores.append(SuppressTokensLogitsProcessor(list(request.suppressed), device=device))
    if request.temperature not in (0, 1):
        of_scores.append(TemperatureLogitsWarper(request.temperature))
    if request.temperature and 0 < request.top_p < 1:
        of_scores.append(TopPLogitsWarper(request.top_p))
    if request.temperature and request.min_p > 0:
        of_scores.append(MinPLogitsWarper(request.min_p))
    return LogitsProcessorList(of_history), LogitsProcessorList(of_scores)

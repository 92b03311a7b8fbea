"""Speed of generation on a CPU, and agreement of the two backends.

    python benchmarks/generation.py --model FOLDER

One run measures `generate` of transformers, one plot at a time in float32, over the cells of the default grid, and
after each plot the same prompt streamed; a dump over the grid, with the command of a user; and greedy decoding of 50
prompts by both backends, llama.cpp with int8 weights and transformers in float32. This takes about twenty minutes.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from claims import at_least, at_most, conclude

from movieplots import read_dump
from movieplots.errors import sentences
from movieplots.formatting import percent
from movieplots.generation.agreement import agreement
from movieplots.generation.backends.base import Backend, Request
from movieplots.generation.backends.loading import load_backend
from movieplots.generation.backends.transformers import TransformersBackend
from movieplots.generation.info import GeneratorInfo
from movieplots.generation.prompt_format import PromptTokenizer
from movieplots.generation.sampling_settings import DumpSettings

GRID = 1680  # samples: 28 genres, 6 cells, 10 samples each
OPENINGS = ("", "When", "After years apart, two sisters", "In a small town", "The last", "A retired detective")
MINUTES, TIMES_SAMPLES, TIMES_STREAMING, AGREEMENT = 12, 8, 4, 0.95


@dataclass(frozen=True)
class Speed:
    """The speed of a method; tokens per second are medians over plots if these are generated one by one."""

    samples_per_minute: float
    tokens_per_second: float


def main() -> int:
    """Print the tables, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Speed and agreement of the backends.")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained generator")
    parser.add_argument("--samples-per-genre", type=int, default=10, help="samples per genre and cell (default: 10)")
    parser.add_argument("--plots", type=int, default=12, help="plots one at a time, and streamed (default: 12)")
    parser.add_argument("--prompts", type=int, default=50, help="prompts for greedy decoding (default: 50)")
    arguments = parser.parse_args()

    start = time.perf_counter()
    llama, tokenizer, info = load_backend(arguments.model, "llama.cpp")
    print(f"llama.cpp ready after {time.perf_counter() - start:.1f} s, including conversion if necessary\n")
    reference, _, _ = load_backend(arguments.model, "transformers")
    assert isinstance(reference, TransformersBackend)
    requests = grid_requests(tokenizer, info, arguments.plots)
    threads = torch.get_num_threads()

    plain, streamed = one_at_a_time(
        requests, lambda request: generate(reference, request), lambda request: list(llama.stream(request))
    )
    batch = together(reference, grid_requests(tokenizer, info, 32))
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory, count, tokens = grid(arguments.model, Path(folder), arguments.samples_per_genre, tokenizer)
    dump = Speed(60 * count / seconds, tokens / seconds)
    minutes = GRID / dump.samples_per_minute
    prompts = greedy_requests(tokenizer, info, arguments.prompts)
    found = agreement(reference, llama, prompts)

    print(f"{'':<52}{'samples per minute':>20}{'tokens per second':>20}")
    rows = {
        f"generate, one at a time ({threads} threads)": plain,
        "transformers backend, a batch of 32 plots": batch,
        f"movieplots dump, {count:,} samples": dump,
        "llama.cpp, one plot streamed": streamed,
    }
    for name, speed in rows.items():
        print(f"{name:<52}{speed.samples_per_minute:>20.1f}{speed.tokens_per_second:>20.1f}")
    print(f"\nGrid: {seconds / 60:.1f} minutes, so {minutes:.1f} for {GRID:,} samples; {memory / 1e9:.2f} GB at most")
    print(
        f"Greedy decoding of {len(prompts)} prompts, {found.tokens:,} tokens, int8 and float32: same next token after "
        f"the same text {percent(found.same_text)}, at the same position of independent texts {percent(found.free)}\n"
    )
    return conclude(
        [
            at_most(f"minutes for {GRID:,} samples", minutes, MINUTES),
            at_least(
                "samples per minute, relative to one at a time",
                dump.samples_per_minute / plain.samples_per_minute,
                TIMES_SAMPLES,
            ),
            at_least(
                "streaming, relative to generate", streamed.tokens_per_second / plain.tokens_per_second, TIMES_STREAMING
            ),
            at_least("agreement of greedy tokens after the same text", found.same_text, AGREEMENT),
        ]
    )


def grid_requests(tokenizer: PromptTokenizer, info: GeneratorInfo, count: int) -> list[Request]:
    """Return requests that cycle through the cells and genres of the grid."""
    cells = DumpSettings("", "").cells()
    genres = sorted(info.genre_counts)
    requests = []
    for i in range(count):
        cell = cells[i % len(cells)]
        options = {"temperature": cell.temperature, "top_p": cell.top_p, "min_p": cell.min_p, "seed": i}
        requests.append(request(tokenizer, info, genres[i % len(genres)], "", **options))
    return requests


def greedy_requests(tokenizer: PromptTokenizer, info: GeneratorInfo, count: int) -> list[Request]:
    """Return requests that cycle through the genres, first without, then with an opening (and a title if possible)."""
    genres = sorted(info.genre_counts)
    return [
        request(tokenizer, info, genres[i % len(genres)], OPENINGS[i // len(genres) % len(OPENINGS)], temperature=0.0)
        for i in range(count)
    ]


def request(tokenizer: PromptTokenizer, info: GeneratorInfo, genre: str, opening: str, **options: Any) -> Request:
    """Return a request as `PlotGenerator` creates it."""
    title = "Salt (2009)" if opening and tokenizer.end_of_title is not None else None
    prompt = tokenizer.prompt(genre, title, opening)
    return Request(prompt, tokenizer.end, info.max_tokens, tuple(tokenizer.suppressed), **options)


def generate(reference: TransformersBackend, request: Request) -> list[int]:
    """Generate from one prompt with `model.generate`, the usual method."""
    ids = reference.model.generate(
        torch.tensor([request.prompt], device=reference.model.device),
        do_sample=True,
        temperature=request.temperature,
        top_p=request.top_p or 1.0,
        top_k=0,
        min_p=request.min_p,
        max_new_tokens=request.max_new_tokens,
        suppress_tokens=list(request.suppressed),
        eos_token_id=request.stop,
        pad_token_id=request.stop,
    )
    return ids[0, len(request.prompt) :].tolist()


def one_at_a_time(requests: list[Request], *ways: Callable[[Request], list[int]]) -> list[Speed]:
    """Return the speed of generating one plot after the other, for each method.

    The methods alternate for each request, so changes in the machine's speed affect all of them. The first request is
    repeated as a warm-up.
    """
    taken: list[list[tuple[int, float]]] = [[] for _ in ways]
    for each in (requests[0], *requests):
        for way, pairs in zip(ways, taken, strict=True):
            start = time.perf_counter()
            tokens = len(way(each))
            pairs.append((tokens, time.perf_counter() - start))
    speeds = []
    for _, *pairs in taken:
        seconds = sum(second for _, second in pairs)
        speeds.append(Speed(60 * len(pairs) / seconds, median(count / second for count, second in pairs)))
    return speeds


def together(backend: Backend, requests: list[Request]) -> Speed:
    """Return the speed of generating all of them as one batch."""
    start = time.perf_counter()
    tokens = sum(len(ids) for _, ids in backend.decode(requests))
    seconds = time.perf_counter() - start
    return Speed(60 * len(requests) / seconds, tokens / seconds)


def grid(model: Path, out: Path, samples: int, tokenizer: PromptTokenizer) -> tuple[float, int, int, int]:
    """Run `movieplots dump` in a separate process: (seconds, peak memory in bytes, samples, their tokens)."""
    command = [sys.executable, "-m", "movieplots", "dump", "--model", str(model), "--output-dir", str(out)]
    command += ["--samples-per-genre", str(samples), "--backend", "llama.cpp"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = 0
    while process.poll() is None:  # the usage that `wait4` reports includes that of this process
        memory = max(memory, peak_memory(process.pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    dump = read_dump(out)
    tokens = sum(
        len(tokenizer.example(row.genre, row.title, row.plot, 10**6).input_ids) - len(tokenizer.prompt(row.genre))
        for row in dump.itertuples()
    )
    return seconds, memory, len(dump), tokens


def peak_memory(process: int) -> int:
    """Return the peak resident memory so far in bytes; 0 for a process that has ended, or without /proc."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    with sentences():
        sys.exit(main())

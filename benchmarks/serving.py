"""Measure the speed of the API, its memory, and its behavior under load.

    python benchmarks/serving.py --model GENERATOR --classifier QUANTIZED --novelty NOVELTY.npz

One run measures, in this order: `generate` of transformers, one plot at a time; the time until the API, started by its
command, is ready, and its memory; one client; 16 concurrent clients; three concurrent streams, as in the studio; 200
requests of 32 clients, each with a title that the response must contain; and the time until slots are free after
clients have disconnected in the middle of a plot.
"""

import argparse
import itertools
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
from claims import at_least, at_most, conclude
from generation import generate, grid_requests
from servers import serving

from movieplots.errors import sentences
from movieplots.generation.backends.loading import load_backend
from movieplots.generation.backends.transformers import TransformersBackend

TOGETHER, ALONE, READY, MEMORY, FIRST, IDEAS, GROWTH = 8.0, 4.0, 5.0, 800.0, 1.0, 6.0, 1.05
CLIENTS, LOADED, REQUESTS = 16, 32, 200
WARM, MEASURED = 3.0, 20.0  # seconds; all clients are busy before, during and after the measurement
HTTP = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=None))


def main() -> int:
    """Print a table, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Measure the speed and the memory of the API.")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained generator")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of a quantized classifier")
    parser.add_argument("--novelty", type=Path, required=True, help="file that `movieplots novelty` wrote")
    parser.add_argument("--plots", type=int, default=12, help="plots of plain generate (default 12)")
    arguments = parser.parse_args()

    plain = plain_speed(arguments.model, arguments.plots)
    models = ["--generator", arguments.model, "--classifier", arguments.classifier, "--novelty", arguments.novelty]
    command = ["api", "--queue", 400, *models]
    with serving(*command, ready="/readyz"):
        pass  # converts the generator for llama.cpp
    with serving(*command, ready="/readyz") as (address, ready, process):
        genres = HTTP.get(f"{address}/v1/models").json()["models"][0]["genres"]
        start_memory = memory(process)
        alone, together = (tokens_per_second(address, genres, clients) for clients in (1, CLIENTS))
        first, all_three = zip(*(three_ideas(address, genres, n) for n in range(7)), strict=True)
        crowd(address, genres, LOADED, 64)  # allocates memory that many clients need
        before = memory(process)
        failed, wrong = crowd(address, genres, LOADED, REQUESTS)
        after = memory(process)
        freed = seconds_until_free(address, genres)

    rows = {
        "plain generate, one plot at a time": f"{plain:.0f} tokens/s",
        "API, one client": f"{alone:.0f} tokens/s, {alone / plain:.1f} times",
        f"API, {CLIENTS} clients": f"{together:.0f} tokens/s, {together / plain:.1f} times",
        "ready after": f"{ready:.1f} s, with {start_memory:.0f} MB",
        "three ideas: first words after": f"{median(first):.2f} s",
        "three ideas: complete after": f"{median(all_three):.1f} s",
        f"{REQUESTS} requests from {LOADED} clients": f"{failed} failed, {wrong} wrong, {before:.0f} to {after:.0f} MB",
        "slots free after clients disconnected": f"{freed:.2f} s",
    }
    for name, value in rows.items():
        print(f"{name:<44}{value}")
    return conclude(
        [
            at_least("tokens/s of 16 clients, times plain generate", together / plain, TOGETHER),
            at_least("tokens/s of one client, times plain generate", alone / plain, ALONE),
            at_most("seconds until ready", ready, READY),
            at_most("MB resident, with generator, classifier and index", after, MEMORY),
            at_most("seconds to the first words of three ideas", median(first), FIRST),
            at_most("seconds to three complete ideas", median(all_three), IDEAS),
            at_most("failed requests", failed, 0),
            at_most("responses with a wrong plot", wrong, 0),
            at_most("memory after the load, times before", after / before, GROWTH),
            at_most("seconds until a slot is free after a client disconnected", freed, 2),
        ]
    )


def plain_speed(model: Path, plots: int) -> float:
    """Return the tokens per second of `generate`, one plot after another, as the median over the plots."""
    reference, tokenizer, info = load_backend(model, "transformers")
    assert isinstance(reference, TransformersBackend)
    speeds = []
    for request in grid_requests(tokenizer, info, plots + 1):
        start = time.perf_counter()
        count = len(generate(reference, request))
        speeds.append(count / (time.perf_counter() - start))
    return median(speeds[1:])


def ask(address: str, genres: list[str], number: int) -> bool:
    """Request a plot with a unique title; return whether the response has this title, genre and seed."""
    title, genre = f"Number {number} (2001)", genres[number % len(genres)]
    asked = {"genres": [genre], "title": title, "seed": number}
    (plot,) = HTTP.post(f"{address}/v1/plots", json=asked).raise_for_status().json()["plots"]
    return (plot["title"], plot["genre"], plot["seed"]) == (title, genre, number) and bool(plot["plot"])


def crowd(address: str, genres: list[str], clients: int, requests: int) -> tuple[int, int]:
    """Send requests from concurrent clients; return the numbers of failed requests and of wrong plots."""

    def one(number: int) -> str:
        try:
            return "" if ask(address, genres, number) else "wrong"
        except httpx.HTTPError:
            return "failed"

    with ThreadPoolExecutor(clients) as threads:
        results = list(threads.map(one, range(requests)))
    return results.count("failed"), results.count("wrong")


def tokens_per_second(address: str, genres: list[str], clients: int) -> float:
    """Return the tokens per second of concurrent clients that send one request after another."""
    stopped = threading.Event()
    numbers = itertools.count()

    def one() -> None:
        while not stopped.is_set():
            ask(address, genres, next(numbers))

    with ThreadPoolExecutor(clients) as threads:
        for _ in range(clients):
            threads.submit(one)
        time.sleep(WARM)
        before, start = counted(address, "movieplots_tokens_total"), time.perf_counter()
        time.sleep(MEASURED)
        speed = (counted(address, "movieplots_tokens_total") - before) / (time.perf_counter() - start)
        stopped.set()
    return speed


def three_ideas(address: str, genres: list[str], number: int) -> tuple[float, float]:
    """Return the seconds to the first word and to the end of three concurrent plots, as in the studio."""
    genre = genres[number % len(genres)]
    start, first = time.perf_counter(), float("inf")
    lock = threading.Lock()

    def one(idea: int) -> None:
        nonlocal first
        asked = {"genres": [genre], "seed": number * 3 + idea}
        with HTTP.stream("POST", f"{address}/v1/plots/stream", json=asked) as answer:
            for line in answer.iter_lines():
                if line == "event: title" or line == "event: text":
                    with lock:
                        first = min(first, time.perf_counter() - start)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(one, range(3)))
    return first, time.perf_counter() - start


def seconds_until_free(address: str, genres: list[str]) -> float:
    """Return the seconds until all slots are free after 16 clients have disconnected in the middle of a plot."""

    def disconnect(number: int) -> None:
        asked = {"genres": [genres[number % len(genres)]], "seed": number, "n": 2, "temperature": 1.3, "top_p": 0}
        with HTTP.stream("POST", f"{address}/v1/plots/stream", json=asked) as answer:
            for _ in itertools.islice(answer.iter_lines(), 10):
                pass

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(disconnect, range(CLIENTS)))
    start = time.perf_counter()
    while counted(address, "movieplots_running") + counted(address, "movieplots_waiting"):
        time.sleep(0.02)
    return time.perf_counter() - start


def counted(address: str, name: str) -> float:
    """Return a value of the API's metrics."""
    text = HTTP.get(f"{address}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def memory(process: subprocess.Popen) -> float:
    """Return the resident memory of the process in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


if __name__ == "__main__":
    with sentences():
        sys.exit(main())

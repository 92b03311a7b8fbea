"""How fast the API answers, how many it answers at once, and whether it loses or mixes up anything under load.

    python benchmarks/serving.py --model GENERATOR --classifier QUANTIZED --novelty NOVELTY.npz

In one run: plain `generate` of transformers one plot at a time, then the API as a user starts it: how soon it is
ready, and how much memory it takes; one client alone; 16 clients at once; three ideas as the studio asks for them; 200
requests from 32 clients, each with a title of its own that must come back; and clients that hang up in the middle of a
plot.
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
WARM, MEASURED = 3.0, 20.0  # seconds: all clients are busy before, during and after what is measured
HTTP = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=None))


def main() -> int:
    """Print a table, then the claims as one JSON line; the status is 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description="Speed and load of the API.")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained generator")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of a quantized classifier")
    parser.add_argument("--novelty", type=Path, required=True, help="file that `movieplots novelty` wrote")
    parser.add_argument("--plots", type=int, default=12, help="plots one at a time (default 12)")
    arguments = parser.parse_args()

    plain = plain_speed(arguments.model, arguments.plots)
    models = ["--generator", arguments.model, "--classifier", arguments.classifier, "--novelty", arguments.novelty]
    command = ["api", "--queue", 400, *models]
    with serving(*command, ready="/readyz"):
        pass  # what is not converted yet is converted now
    with serving(*command, ready="/readyz") as (address, ready, process):
        genres = HTTP.get(f"{address}/v1/models").json()["models"][0]["genres"]
        start_memory = memory(process)
        alone, together = (tokens_per_second(address, genres, clients) for clients in (1, CLIENTS))
        first, all_three = zip(*(three_ideas(address, genres, n) for n in range(7)), strict=True)
        crowd(address, genres, LOADED, 64)  # what is kept for many clients is there from here on
        before = memory(process)
        lost, mixed = crowd(address, genres, LOADED, REQUESTS)
        after = memory(process)
        freed = seconds_until_free(address, genres)

    rows = {
        "plain generate, one plot at a time": f"{plain:.0f} tokens a second",
        "API, one client alone": f"{alone:.0f} tokens a second, {alone / plain:.1f} times",
        f"API, {CLIENTS} clients": f"{together:.0f} tokens a second, {together / plain:.1f} times",
        "ready after": f"{ready:.1f} s, with {start_memory:.0f} MB",
        "three ideas: first words after": f"{median(first):.2f} s",
        "three ideas: all finished after": f"{median(all_three):.1f} s",
        f"{REQUESTS} requests from {LOADED} clients": f"{lost} lost, {mixed} mixed up, {before:.0f} to {after:.0f} MB",
        "places free after clients hung up": f"{freed:.2f} s",
    }
    for name, value in rows.items():
        print(f"{name:<44}{value}")
    return conclude(
        [
            at_least("tokens a second of 16 clients, times plain generate", together / plain, TOGETHER),
            at_least("tokens a second of one client, times plain generate", alone / plain, ALONE),
            at_most("seconds until ready", ready, READY),
            at_most("MB resident, with generator, classifier and index", after, MEMORY),
            at_most("seconds to the first words of three ideas", median(first), FIRST),
            at_most("seconds to three finished ideas", median(all_three), IDEAS),
            at_most("requests lost", lost, 0),
            at_most("requests mixed up", mixed, 0),
            at_most("memory after the load, times before", after / before, GROWTH),
            at_most("seconds until a place is free after a client hung up", freed, 2),
        ]
    )


def plain_speed(model: Path, plots: int) -> float:
    """Tokens a second of `generate`, one plot after another, the median over the plots."""
    reference, tokenizer, info = load_backend(model, "transformers")
    assert isinstance(reference, TransformersBackend)
    speeds = []
    for request in grid_requests(tokenizer, info, plots + 1):
        start = time.perf_counter()
        count = len(generate(reference, request))
        speeds.append(count / (time.perf_counter() - start))
    return median(speeds[1:])


def ask(address: str, genres: list[str], number: int) -> bool:
    """One plot with a title of its own; whether it came back as asked."""
    title, genre = f"Number {number} (2001)", genres[number % len(genres)]
    asked = {"genres": [genre], "title": title, "seed": number}
    (plot,) = HTTP.post(f"{address}/v1/plots", json=asked).raise_for_status().json()["plots"]
    return (plot["title"], plot["genre"], plot["seed"]) == (title, genre, number) and bool(plot["plot"])


def crowd(address: str, genres: list[str], clients: int, requests: int) -> tuple[int, int]:
    """That many requests from clients that each ask again as soon as they are answered: (lost, mixed up)."""

    def one(number: int) -> str:
        try:
            return "" if ask(address, genres, number) else "mixed"
        except httpx.HTTPError:
            return "lost"

    with ThreadPoolExecutor(clients) as threads:
        ends = list(threads.map(one, range(requests)))
    return ends.count("lost"), ends.count("mixed")


def tokens_per_second(address: str, genres: list[str], clients: int) -> float:
    """How many tokens the API writes a second for clients that each ask again as soon as they are answered."""
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
    """(seconds to the first word, seconds until all are finished) of three plots side by side, as in the studio."""
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
    """How long places stay taken after 16 clients have hung up in the middle of their plots."""

    def leave(number: int) -> None:
        asked = {"genres": [genres[number % len(genres)]], "seed": number, "n": 2, "temperature": 1.3, "top_p": 0}
        with HTTP.stream("POST", f"{address}/v1/plots/stream", json=asked) as answer:
            for _ in itertools.islice(answer.iter_lines(), 10):
                pass

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(leave, range(CLIENTS)))
    start = time.perf_counter()
    while counted(address, "movieplots_running") + counted(address, "movieplots_waiting"):
        time.sleep(0.02)
    return time.perf_counter() - start


def counted(address: str, name: str) -> float:
    """A number of the API's metrics."""
    text = HTTP.get(f"{address}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def memory(process: subprocess.Popen) -> float:
    """Resident memory of the process in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


if __name__ == "__main__":
    with sentences():
        sys.exit(main())

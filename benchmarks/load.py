"""Speed of one streamed plot on a busy and on an idle machine, by how threads wait.

    python benchmarks/load.py [--model FOLDER]

llama.cpp streams plots in a separate process for each setting of waiting threads: that of `movieplots`, the default of
GNU OpenMP, and immediate sleep (OMP_WAIT_POLICY=passive). The settings alternate, first on the idle machine, then with
ten busy processes. This takes about five minutes.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from claims import at_least, conclude

from movieplots.errors import sentences
from movieplots.pretrained.shipped import GENERATOR

OURS, DEFAULT, PASSIVE = "movieplots", "default of OpenMP", "passive"
WAYS = {OURS: {}, DEFAULT: {"GOMP_SPINCOUNT": "300000"}, PASSIVE: {"OMP_WAIT_POLICY": "passive"}}
BUSY = 10  # processes
TOKENS = 16  # per plot: with ten processes, the default of OpenMP takes half a minute for them
IDLE, LOADED = 0.9, 3  # minimum speed relative to the default of OpenMP

_WRITE = """
import sys, time
from movieplots.generation.backends.base import Request
from movieplots.generation.backends.loading import load_backend
backend, tokenizer, info = load_backend(sys.argv[1], "llama.cpp")
prompt, suppressed = tokenizer.prompt(min(info.genre_counts)), (*tokenizer.suppressed, tokenizer.end)
speeds = []
for seed in range(3):
    request = Request(prompt, tokenizer.end, int(sys.argv[2]), suppressed, seed=seed)
    start = time.perf_counter()
    tokens = sum(1 for _ in backend.stream(request))
    speeds.append(tokens / (time.perf_counter() - start))
print(sorted(speeds)[1])
"""


def main() -> int:
    """Print the table, then the claims as one JSON line; the status is 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description="Speed of one streamed plot on a busy and on an idle machine.")
    parser.add_argument("--model", type=Path, default=GENERATOR, help="folder of a generator (default: the pretrained)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each setting (default: 3)")
    arguments = parser.parse_args()
    speed(arguments.model, OURS)  # converts the model if necessary
    idle = measured(arguments.model, arguments.rounds)
    with busy(BUSY):
        loaded = measured(arguments.model, arguments.rounds)
    print(f"{'tokens per second, median of ' + str(arguments.rounds):<32}{'idle':>10}{f'{BUSY} busy':>12}")
    for way in WAYS:
        print(f"{way:<32}{idle[way]:>10.1f}{loaded[way]:>12.1f}")
    return conclude(
        [
            at_least("idle, relative to the default of OpenMP", idle[OURS] / idle[DEFAULT], IDLE),
            at_least(
                f"with {BUSY} busy processes, relative to the default of OpenMP", loaded[OURS] / loaded[DEFAULT], LOADED
            ),
        ]
    )


def measured(model: Path, rounds: int) -> dict[str, float]:
    """Return the median speed of each setting; the settings alternate."""
    speeds = [{way: speed(model, way) for way in WAYS} for _ in range(rounds)]
    return {way: median(each[way] for each in speeds) for way in WAYS}


def speed(model: Path, way: str) -> float:
    """Return tokens per second in a separate process, the median of three plots."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-c", _WRITE, str(model), str(TOKENS)]
    done = subprocess.run(command, env=environment | WAYS[way], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Run `count` processes that use a core each."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    with sentences():
        sys.exit(main())

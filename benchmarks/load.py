"""How fast one plot is written where other programs want the cores, too, and what that costs where they do not.

    python benchmarks/load.py [--model FOLDER]

llama.cpp streams plots in a process of its own, once for each way in which threads may wait for one another: as
`movieplots` sets it, as GNU's OpenMP does by itself, and asleep at once (OMP_WAIT_POLICY=passive). The ways take turns,
first on the idle machine, then beside ten processes that count: about five minutes.
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

OURS, ITS_OWN, ASLEEP = "movieplots", "OpenMP by itself", "passive"
WAYS = {OURS: {}, ITS_OWN: {"GOMP_SPINCOUNT": "300000"}, ASLEEP: {"OMP_WAIT_POLICY": "passive"}}
BUSY = 10  # processes
TOKENS = 16  # of each plot: beside ten processes, OpenMP by itself takes half a minute for so many
IDLE, LOADED = 0.9, 3  # of the speed of OpenMP by itself, at least

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
    parser = argparse.ArgumentParser(description="Writing beside other programs.")
    parser.add_argument("--model", type=Path, default=GENERATOR, help="folder of a generator (default: the shipped)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default 3)")
    arguments = parser.parse_args()
    speed(arguments.model, OURS)  # converts the model, where that is not done yet
    idle = measured(arguments.model, arguments.rounds)
    with busy(BUSY):
        loaded = measured(arguments.model, arguments.rounds)
    print(f"{'tokens a second, median of ' + str(arguments.rounds):<32}{'idle':>10}{f'beside {BUSY}':>12}")
    for way in WAYS:
        print(f"{way:<32}{idle[way]:>10.1f}{loaded[way]:>12.1f}")
    return conclude(
        [
            at_least("idle, times OpenMP by itself", idle[OURS] / idle[ITS_OWN], IDLE),
            at_least(f"beside {BUSY} processes, times OpenMP by itself", loaded[OURS] / loaded[ITS_OWN], LOADED),
        ]
    )


def measured(model: Path, rounds: int) -> dict[str, float]:
    """The median speed of each way, which take turns."""
    speeds = [{way: speed(model, way) for way in WAYS} for _ in range(rounds)]
    return {way: median(each[way] for each in speeds) for way in WAYS}


def speed(model: Path, way: str) -> float:
    """Tokens a second of a process of its own, the median of three plots."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-c", _WRITE, str(model), str(TOKENS)]
    done = subprocess.run(command, env=environment | WAYS[way], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that want a core each."""
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

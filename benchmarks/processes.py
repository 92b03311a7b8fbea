"""Run a command in a separate process, as a user would, and measure its time and memory."""

import json
import subprocess
import sys
from collections.abc import Sequence

# A process inherits the peak memory of its parent, so a small intermediate process starts the command.
_MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, code]))
"""


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run a command without output; return wall-clock seconds and peak memory in bytes, or raise SystemExit."""
    measured = subprocess.run([sys.executable, "-c", _MEASURE, *command], stdout=subprocess.PIPE, check=True)
    seconds, memory, code = json.loads(measured.stdout)
    if code:
        raise SystemExit(f"{' '.join(command)} failed with exit code {code}")
    return seconds, memory

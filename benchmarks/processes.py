"""A command as a user would run it: in a process of its own, with its time and its memory."""

import json
import subprocess
import sys
from collections.abc import Sequence

# A process inherits the largest memory of the one that starts it, so a small one in between starts the command.
_MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, status]))
"""


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run it, silently, to its end: wall-clock seconds and the largest memory in bytes; SystemExit where it fails."""
    measured = subprocess.run([sys.executable, "-c", _MEASURE, *command], stdout=subprocess.PIPE, check=True)
    seconds, memory, status = json.loads(measured.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return seconds, memory

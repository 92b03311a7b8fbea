"""A command as a user would run it: in a process of its own, with its time and its memory."""

import os
import subprocess
import time
from collections.abc import Sequence


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run it, silently, to its end: wall-clock seconds and the largest memory in bytes; SystemExit where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return seconds, usage.ru_maxrss * 1024

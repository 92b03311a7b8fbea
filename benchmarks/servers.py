"""Start a server in a separate process on a free port, as a user would, and stop it afterwards."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx

PATIENCE = 180  # seconds: the first start converts models


@contextlib.contextmanager
def serving(*arguments: object, ready: str) -> Iterator[tuple[str, float, subprocess.Popen]]:
    """Run `movieplots` with these arguments; yield address, seconds until `ready` succeeded, and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "movieplots", *map(str, arguments), "--port", str(port)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address + ready):
            if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                raise SystemExit(f"{' '.join(command)} did not become ready.")
            time.sleep(0.02)
        yield address, time.perf_counter() - start, process
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).is_success
    except httpx.HTTPError:
        return False

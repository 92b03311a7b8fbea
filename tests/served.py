"""Servers for tests, as users start them: in a process of their own, on a free port."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx


@contextmanager
def running(folder, *arguments, ready="/readyz"):
    """`movieplots` with these arguments and a port: (address, process), once `ready` answers. Its log: `folder`."""
    port = free_port()
    log = folder / "server.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "movieplots", *map(str, arguments), "--port", str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 120
        while not _answers(address + ready):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield address, process
    finally:
        process.terminate()
        process.wait(20)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(address):
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False

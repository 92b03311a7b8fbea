"""`movieplots api` and `movieplots studio`: what runs, where, and in which order."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from movieplots.errors import BadInput
from movieplots.progress import notify
from movieplots.serving.history import History

THEME = {
    "theme.light.primaryColor": "#c0492f",
    "theme.light.backgroundColor": "#fdfbf7",
    "theme.light.secondaryBackgroundColor": "#f3eee5",
    "theme.light.textColor": "#25211c",
    "theme.dark.primaryColor": "#e8795f",
    "theme.dark.backgroundColor": "#171614",
    "theme.dark.secondaryBackgroundColor": "#24221f",
    "theme.dark.textColor": "#ece7df",
}
API = "MOVIEPLOTS_API"  # environment of the studio: where the API answers
REPORT = "MOVIEPLOTS_REPORT"  # the folder of an evaluation
HISTORY = "MOVIEPLOTS_HISTORY"  # the file of the ideas
IDEAS = Path.home() / ".local" / "share" / "movieplots" / "studio.sqlite"
PATIENCE = 30  # seconds for the API to answer at all; its models may load longer


def run_api(
    generators: list[Path],
    classifier: Path | None,
    novelty: Path | None,
    backend: str = "auto",
    host: str = "127.0.0.1",
    port: int = 8000,
    queue: int = 64,
    seconds: float = 60.0,
) -> None:
    """Serve until interrupted. Raises BadInput where a model is missing or the port is taken."""
    import uvicorn

    from movieplots.serving.api import create_app
    from movieplots.serving.engine import Engine
    from movieplots.serving.metrics import Metrics
    from movieplots.serving.models import Models

    _check_port(host, port)
    metrics = Metrics()
    engine = Engine(queue=queue, count=metrics.count)
    metrics.watch(engine)
    app = create_app(Models(generators, classifier, novelty, backend), engine, metrics, seconds)
    notify(f"The API answers at http://{host}:{port}; its documents are at http://{host}:{port}/docs.")
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)


def run_studio(
    api: str | None, api_arguments: list[str], host: str, port: int, report: Path | None, history: Path | None
) -> None:
    """Start the studio, and the API before it where no address of one is given; both end together."""
    if api is not None and not api.startswith(("http://", "https://")):
        raise BadInput(f"--api must be an address such as http://localhost:8000, not {api!r}.")
    _check_port(host, port)
    history = history or IDEAS
    History(history)  # says so where it cannot be used
    address = api or f"http://127.0.0.1:{_free_port()}"
    environment = os.environ | {API: address, REPORT: str(report or ""), HISTORY: str(history)}
    children = []
    # Without this a polite end would leave both running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if api is None:
            command = [sys.executable, "-m", "movieplots", "api", "--port", address.rpartition(":")[2], *api_arguments]
            children.append(subprocess.Popen(command))
            _wait_for(address, children[0])
        settings = {
            "server.address": host, "server.port": port, "server.headless": "true", "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false", "client.toolbarMode": "minimal",
        } | THEME  # fmt: skip
        app = Path(__file__).parent / "studio" / "app.py"
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [sys.executable, "-m", "streamlit", "run", str(app), *options]
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        notify(
            f"The studio: http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}  (Ctrl+C ends it)"
        )
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        raise BadInput("The studio or its API has stopped; the lines above say why.")
    finally:
        for child in reversed(children):
            _end(child)


def _wait_for(address: str, child: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if child.poll() is not None:
            raise BadInput("The API could not be started; the lines above say why.")
        try:
            httpx.get(f"{address}/healthz", timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise BadInput(f"The API did not answer within {PATIENCE} seconds.")


def _end(child: subprocess.Popen) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise BadInput(f"Port {port} of {host} cannot be used: choose another one with --port.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

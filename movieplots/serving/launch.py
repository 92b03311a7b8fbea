"""Start the processes of `movieplots api` and `movieplots studio`."""

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
# Environment variables of the studio's process.
API = "MOVIEPLOTS_API"  # address of the API
REPORT = "MOVIEPLOTS_REPORT"  # folder of an evaluation
HISTORY = "MOVIEPLOTS_HISTORY"  # file of the ideas
DEFAULT_HISTORY = Path.home() / ".local" / "share" / "movieplots" / "studio.sqlite"
START_TIMEOUT = 60  # seconds for the API to answer; its models may take longer to load


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
    """Serve the API until interrupted.

    `queue` bounds the plots that wait, `seconds` is the time limit of a request. Raises BadInput if a model is missing
    or the port is in use.
    """
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
    notify(f"API: http://{host}:{port}, documentation: http://{host}:{port}/docs (Ctrl+C stops it)")
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)


def run_studio(
    api: str | None, api_arguments: list[str], host: str, port: int, report: Path | None, history: Path | None
) -> None:
    """Serve the studio until interrupted, with an API of its own unless the address of one is given.

    Raises BadInput if an option cannot be used, or if the studio or its API stops.
    """
    if api is not None and not api.startswith(("http://", "https://")):
        raise BadInput(f"--api must be an address such as http://localhost:8000, not {api!r}.")
    _check_port(host, port)
    history = history or DEFAULT_HISTORY
    History(history)  # raises BadInput if the file cannot be used
    address = api or f"http://127.0.0.1:{_free_port()}"
    environment = os.environ | {API: address, REPORT: str(report or ""), HISTORY: str(history)}
    processes = []
    # By default, SIGTERM would end this process without `finally`, and leave both running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if api is None:
            command = [sys.executable, "-m", "movieplots", "api", "--port", address.rpartition(":")[2], *api_arguments]
            processes.append(subprocess.Popen(command))
            _wait_for(address, processes[0])
        settings = {
            "server.address": host, "server.port": port, "server.headless": "true", "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false", "client.toolbarMode": "minimal",
        } | THEME  # fmt: skip
        app = Path(__file__).parent / "studio" / "app.py"
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [sys.executable, "-m", "streamlit", "run", str(app), *options]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        notify(f"Studio: http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port} (Ctrl+C stops it)")
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        raise BadInput("The studio or its API has stopped. See the messages above.")
    finally:
        for process in reversed(processes):
            _stop(process)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BadInput("The API could not be started. See the messages above.")
        try:
            httpx.get(f"{address}/healthz", timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise BadInput(f"The API did not answer within {START_TIMEOUT} seconds.")


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise BadInput(f"Port {port} of {host} is in use or not allowed: choose another one with --port.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

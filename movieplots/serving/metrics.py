"""Metrics of the server for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from movieplots.serving.engine import Engine

_EVENTS = {
    "tokens": "Tokens generated.",
    "plots": "Plots generated.",
    "cancelled": "Plots cancelled because the client disconnected or the request timed out.",
}


class Metrics:
    """Counters and histograms of one server; `text` returns them in the format of Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = {"registry": self.registry}
        self.requests = Counter(
            "movieplots_requests", "Requests by route and HTTP status code.", ["route", "status"], **registry
        )
        self.seconds = Histogram(
            "movieplots_request_duration_seconds", "Seconds from a request to the end of its response.", ["route"],
            **registry,
        )  # fmt: skip
        self.first_token = Histogram(
            "movieplots_time_to_first_token_seconds", "Seconds from a request to the first token of a plot.", **registry
        )
        self.events = {event: Counter(f"movieplots_{event}", help_, **registry) for event, help_ in _EVENTS.items()}

    def watch(self, engine: Engine) -> None:
        """Add gauges of the engine's running and waiting plots."""
        gauges = {
            "movieplots_running": ("Plots being generated.", lambda: engine.running),
            "movieplots_waiting": ("Plots in the queue.", lambda: engine.waiting),
        }
        for name, (help_, value) in gauges.items():
            Gauge(name, help_, registry=self.registry).set_function(value)

    def count(self, event: str, number: float) -> None:
        """Record an event of the engine."""
        if event == "first_token":
            self.first_token.observe(number)
        else:
            self.events[event].inc(number)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

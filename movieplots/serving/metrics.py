"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from movieplots.serving.engine import Engine


class Metrics:
    """Counters of one server; `text()` is what Prometheus reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = {"registry": self.registry}
        self.requests = Counter("movieplots_requests", "Requests answered.", ["route", "status"], **registry)
        self.seconds = Histogram(
            "movieplots_request_seconds", "Seconds until a request was answered.", ["route"], **registry
        )
        self.first_token = Histogram(
            "movieplots_first_token_seconds", "Seconds until a plot's first token.", **registry
        )
        self.events = {
            event: Counter(f"movieplots_{event}", what, **registry)
            for event, what in (
                ("tokens", "Tokens written."), ("plots", "Plots written."), ("left", "Plots that were given up."),
            )
        }  # fmt: skip

    def watch(self, engine: Engine) -> None:
        """Show how busy the engine is."""
        Gauge("movieplots_running", "Plots being written.", registry=self.registry).set_function(lambda: engine.running)
        Gauge("movieplots_waiting", "Plots waiting.", registry=self.registry).set_function(lambda: engine.waiting)

    def count(self, event: str, number: float) -> None:
        """Take note of what the engine tells."""
        if event == "first_token":
            self.first_token.observe(number)
        else:
            self.events[event].inc(number)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

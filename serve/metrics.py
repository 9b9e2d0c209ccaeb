"""Count requests and tiles, and export the counters in the Prometheus text format."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)


class Metrics:
    """Counters of one server, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "infgen_requests", "Answered requests", ["method", "route", "status"], registry=self._registry
        )
        self._latency = Histogram(
            "infgen_request_seconds",
            "Seconds from request to complete response",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._tiles = Counter(
            "infgen_tiles", "Tiles by source (memory, disk, drawn)", ["source"], registry=self._registry
        )
        self._drawing = Histogram(
            "infgen_draw_seconds", "Seconds to render one batch of tiles", buckets=_SECONDS, registry=self._registry
        )

    def tile(self, source: str) -> None:
        """Count a tile by ``source``: "memory", "disk" or "drawn"."""
        self._tiles.labels(source).inc()

    def request(self, method: str, route: str, *, status: int, seconds: float) -> None:
        """Record an answered request. ``route``: its path pattern."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Measure the seconds spent inside the context."""
        start = time.perf_counter()
        yield
        self._drawing.observe(time.perf_counter() - start)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that calls ``value`` on every scrape."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

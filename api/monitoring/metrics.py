"""What /metrics shows, in a registry of each app's own. Counting is a few additions; gauges are read at a scrape."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.monitoring.counts import Counts

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_Child = tuple[Counter, Histogram]


class Metrics:
    """The counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "exclave_http_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "exclave_http_request_seconds",
            "How long an answer took; long polls wait on purpose.",
            ["route", "method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "exclave_db_write_batch_size",
            "How many writes shared one commit.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self._commit = Histogram(
            "exclave_db_write_batch_seconds", "How long one commit took.", buckets=_SECONDS, registry=self.registry
        )
        self.long_polls = Gauge("exclave_long_polls", "Requests that wait for something to change.", registry=self.registry)
        self.queued_writes = Gauge("exclave_db_queued_writes", "Writes that wait for their turn.", registry=self.registry)
        self._counted = _Counted()
        self.registry.register(self._counted)
        ProcessCollector(registry=self.registry)
        self._children: dict[tuple[str, str, int], _Child] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is a template, never a path: there are few of them."""
        child = self._children.get((route, method, status))
        if child is None:
            known = method if method in _METHODS else "other"
            child = (self._requests.labels(route, known, str(status)), self._seconds.labels(route, known))
            if known == method:
                self._children[route, method, status] = child
        child[0].inc()
        child[1].observe(seconds)

    def committed(self, writes: int, seconds: float) -> None:
        """Count one commit. Called on the writer's thread."""
        self._batch.observe(writes)
        self._commit.observe(seconds)

    def set_counts(self, counts: Counts) -> None:
        """What the next scrape shows of the database."""
        self._counted.counts = counts


class _Counted(Collector):
    """Gauges of what the database has."""

    counts: Counts | None = None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = self.counts
        if counts is None:
            return
        yield _family("jobs", "Jobs by what they do and how they are.", ["kind", "state"], counts.jobs)
        yield _family("agents", "Enrolled agents.", ["kind", "state"], counts.agents)
        yield _family("deploys", "Deploys by status.", ["status"], counts.deploys)
        yield _family("webhook_deliveries", "Webhook deliveries that are not done.", ["state"], counts.deliveries)
        yield GaugeMetricFamily(
            "exclave_oldest_queued_job_seconds", "For how long the oldest queued job has waited.", counts.oldest_queued_seconds
        )
        yield GaugeMetricFamily("exclave_events", "Lines of the history.", counts.events)


def _family(name: str, text: str, labels: list[str], found: dict[tuple[str, ...], int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"exclave_{name}", text, labels=labels)
    for values, count in sorted(found.items()):
        family.add_metric(values, count)
    return family

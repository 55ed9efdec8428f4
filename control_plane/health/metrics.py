"""What Prometheus scrapes, in a registry of each application's own."""

from functools import cache

from litestar.types import Scope
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from control_plane.health.stage_histograms import StageCollector
from plugins.messages import TaskProgress

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All instruments of one control plane process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "spoton_http_requests", "Answers", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "spoton_http_request_seconds", "Until the answer", ["route"], registry=self.registry
        )
        # Looking a child up by its labels takes a lock each time.
        self._answers = cache(self.requests.labels)
        self._seconds = cache(self.request_seconds.labels)
        self.clients = Gauge(
            "spoton_websocket_clients", "Open WebSockets", ["kind"], registry=self.registry
        )
        self.messages = Counter(
            "spoton_websocket_messages", "Messages sent", ["kind"], registry=self.registry
        )
        self.skipped = Counter(
            "spoton_websocket_skipped",
            "Messages a slow client did not get",
            ["kind"],
            registry=self.registry,
        )
        self.component_up = Gauge(
            "spoton_component_up", "1 when the part answers", ["component"], registry=self.registry
        )
        self.stages = StageCollector()
        self.registry.register(self.stages)
        self._task_labels = ["task_id", "environment_id"]
        self.task_rate = self._task_gauge("sets_per_s", "Synchronised sets per second")
        self.task_sets = self._task_gauge("sets", "Sets done")
        self.task_dropped = self._task_gauge("dropped_sets", "Sets dropped to keep up")
        self.task_progress = self._task_gauge("progress", "0 to 1 of the task's media time")

    def _task_gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"spoton_task_{name}", text, self._task_labels, registry=self.registry)

    def set_tasks(self, tasks: list[tuple[str, str, TaskProgress]]) -> None:
        """Replaces the figures of the active tasks: (task id, environment id, progress)."""
        self.stages.tasks = {task_id: state.stage_histograms for task_id, _, state in tasks}
        gauges = (self.task_rate, self.task_sets, self.task_dropped, self.task_progress)
        for gauge in gauges:
            gauge.clear()
        for task_id, environment_id, state in tasks:
            values = (state.sets_per_s, state.sets, state.dropped, state.progress)
            for gauge, value in zip(gauges, values, strict=True):
                gauge.labels(task_id, environment_id).set(value)

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self.registry)

    def count_answer(self, scope: Scope, status: int, seconds: float) -> None:
        """Counts an answer, and how long it took."""
        route = scope.get("path_template") or "unmatched"
        self._answers(scope.get("method", ""), route, str(status)).inc()
        self._seconds(route).observe(seconds)

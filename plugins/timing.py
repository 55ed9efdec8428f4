"""How long each stage takes: the newest durations, their percentiles, and histograms."""

import bisect
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from plugins.messages import StageHistogram
from plugins.tracing import OnMeasured

KEPT = 500
SETS_KEPT = 64
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class StageTimes:
    """Durations of named stages; written from several threads, bounded memory."""

    def __init__(self, on_measured: OnMeasured | None = None) -> None:
        self._on_measured = on_measured
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._histograms: dict[str, StageHistogram] = {}
        self._sets: OrderedDict[int, dict[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str, index: int | None = None) -> Iterator[None]:
        """Adds the time the block takes; with ``index``, to that set's own times too."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start, index)

    def add(self, stage: str, seconds: float, index: int | None = None) -> None:
        """Adds one duration."""
        if self._on_measured is not None:
            self._on_measured(stage, seconds, index)
        with self._lock:
            self._seconds[stage].append(seconds)
            self._count(stage, seconds)
            if index is not None:
                self._note(index, stage, seconds)

    def of_set(self, index: int) -> dict[str, float]:
        """Stage -> milliseconds it took for one of the newest sets; empty for an older one. Of what
        ran side by side (a set's pictures) it is the longest.
        """
        with self._lock:
            return {k: round(s * 1e3, 2) for k, s in self._sets.get(index, {}).items()}

    def histograms(self) -> dict[str, StageHistogram]:
        """All durations since the start, by stage."""
        with self._lock:
            return {
                stage: StageHistogram(list(h.counts), round(h.sum_s, 6))
                for stage, h in self._histograms.items()
            }

    def _count(self, stage: str, seconds: float) -> None:
        empty = StageHistogram([0] * (len(BUCKETS_S) + 1), 0.0)
        histogram = self._histograms.setdefault(stage, empty)
        histogram.counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        histogram.sum_s += seconds

    def _note(self, index: int, stage: str, seconds: float) -> None:
        times = self._sets.setdefault(index, {})
        times[stage] = max(times.get(stage, 0.0), seconds)
        while len(self._sets) > SETS_KEPT:
            self._sets.popitem(last=False)

    def percentiles_ms(self) -> dict[str, dict[str, float]]:
        """Stage -> p50, p95, p99 in milliseconds over the newest durations."""
        with self._lock:
            copies = {stage: list(seconds) for stage, seconds in self._seconds.items()}
        return {stage: _percentiles(seconds) for stage, seconds in copies.items()}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    in_order = np.sort(seconds) * 1e3
    ranks = {name: int(share * (len(in_order) - 1)) for name, share in SHARES.items()}
    return {name: round(float(in_order[rank]), 2) for name, rank in ranks.items()}

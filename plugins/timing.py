"""How long each stage takes: the newest durations of each, and their percentiles."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

KEPT = 500
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class StageTimes:
    """Durations of named stages; written from several threads, bounded memory."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the time the block takes."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Adds one duration."""
        with self._lock:
            self._seconds[stage].append(seconds)

    def percentiles_ms(self) -> dict[str, dict[str, float]]:
        """Stage -> p50, p95, p99 in milliseconds over the newest durations."""
        with self._lock:
            copies = {stage: list(seconds) for stage, seconds in self._seconds.items()}
        return {stage: _percentiles(seconds) for stage, seconds in copies.items()}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    in_order = np.sort(seconds) * 1e3
    ranks = {name: int(share * (len(in_order) - 1)) for name, share in SHARES.items()}
    return {name: round(float(in_order[rank]), 2) for name, rank in ranks.items()}

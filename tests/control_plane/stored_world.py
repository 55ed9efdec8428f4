"""People who walk where a test says, stored as a worker stores them."""

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np

from control_plane.storage.rollups import roll_up
from control_plane.store import Store
from plugins.frames import Frame, FrameSet
from plugins.history import Batch, History
from plugins.media_time import from_datetime
from plugins.messages import TaskProgress, TaskRequest
from plugins.processed_minutes import ProcessedMinutes

START = datetime(2024, 5, 1, 9, tzinfo=UTC)
RATE_HZ = 10.0
OWNER = "test-worker"
PICTURE = np.zeros((3, 2), np.uint8)
# Written meanwhile by what goes on in the background, or by the answers' own process.
LIVELY = {"audit_log", "rollup_progress", "camera_minutes", "cell_minutes", "visits", "export_jobs"}
T = TypeVar("T")
Way = Sequence[tuple[float, float, float]]


@dataclass
class World:
    """Sets from ``START``; ``ways`` gives each person's (second, x, y), between which they walk
    straight; a person is there from the first to the last. ``cameras`` see everybody always,
    unless ``views`` gives a camera's x range.
    """

    ways: Mapping[str, Way]
    seconds: float
    environment_id: str = "hall"
    cameras: Sequence[str] = ("h1", "h2")
    views: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    dark: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    start: datetime = START
    noise_m: float = 0.0
    seed: int = 1
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def rows(self, first: int, last: int) -> Batch:
        """The batch of sets ``first`` to ``last``."""
        batch = Batch(last, b"state")
        minutes = ProcessedMinutes(self.task_id, self.environment_id)
        random = np.random.default_rng([self.seed, first])
        seen: dict[str, list[Any]] = {}
        for index in range(first, last + 1):
            second = index / RATE_HZ
            at = self.start + timedelta(seconds=second)
            lit = [c for c in self.cameras if not self._is_dark(c, second)]
            frames = {c: Frame(c, from_datetime(at), 2, 2, PICTURE) for c in lit}
            minutes.add(FrameSet(index, from_datetime(at), frames, 0.0), self.cameras)
            for number, (name, way) in enumerate(self.ways.items()):
                if way[0][0] <= second < way[-1][0]:
                    noise = random.normal(0, self.noise_m, 2)
                    place = place_at(way, second) + noise
                    cameras = [c for c in lit if self._sees(c, place[0])]
                    self._add(batch, index, at, number, (person_id(name), place, cameras), seen)
        batch.persons += [
            (g, self.environment_id, self.task_id, first_at, last_at, sorted(cameras), None, None)
            for g, (first_at, last_at, cameras) in seen.items()
        ]
        batch.minutes += minutes.take(last)
        return batch

    def _add(
        self, batch: Batch, index: int, at: datetime, number: int, who: Any, seen: Any
    ) -> None:
        global_id, (x, y), cameras = who
        if not cameras:
            return
        for camera_id in cameras:
            box = (10.0, 20.0, 30.0, 90.0)
            ids = (at, self.environment_id, self.task_id, camera_id, index, number + 1, global_id)
            batch.events.append((*ids, *box, 0.8, x, y, 0.1))
        key = (at, self.environment_id, self.task_id, index, global_id)
        batch.trajectories.append((*key, x, y, 1.0, 0.1, cameras))
        entry = seen.setdefault(global_id, [at, at, set()])
        entry[1] = at
        entry[2] |= set(cameras)

    def _sees(self, camera_id: str, x: float) -> bool:
        low, high = self.views.get(camera_id, (-1e9, 1e9))
        return low <= x < high

    def _is_dark(self, camera_id: str, second: float) -> bool:
        start, end = self.dark.get(camera_id, (0.0, 0.0))
        return start <= second < end

    def store(self, url: str, until: float | None = None, *, status: str = "COMPLETED") -> str:
        """Through the worker's own writer, in batches of two seconds; returns the task's id."""
        request = TaskRequest(self.task_id, self.environment_id, list(self.cameras))
        run(url, lambda s: s.create_task(request, owner=OWNER, lease_s=600))
        history = History(url, self.task_id, OWNER, threading.Event())
        sets = round((self.seconds if until is None else until) * RATE_HZ)
        for first in range(0, sets, 20):
            history.add(self.rows(first, min(first + 20, sets) - 1))
        history.finish(TaskProgress(status=status))  # type: ignore[arg-type]
        return self.task_id


def place_at(way: Way, second: float) -> Any:
    """Where a way is at a moment."""
    table = np.array(way)
    return np.array([np.interp(second, table[:, 0], table[:, k]) for k in (1, 2)])


def person_id(name: str) -> str:
    """The global id of a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def run(url: str, action: Callable[[Store], Awaitable[T]]) -> T:
    """An action over a store of its own."""

    async def opened() -> T:
        store = Store(url)
        try:
            return await action(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def query(url: str, sql: str, *values: Any) -> list[Any]:
    """Rows of a statement."""

    async def fetch(store: Store) -> list[Any]:
        async with store.connection() as connection:
            return list(await connection.fetch(sql, *values))

    return run(url, fetch)


def rolled_up(url: str, zones: Any) -> int:
    """Brings the rollups up; returns the steps."""
    return run(url, lambda store: roll_up(store, zones))


def contents(url: str) -> dict[str, Any]:
    """A checksum of each table; of jobs, which run meanwhile, their number."""
    names = query(
        url,
        """select relname from pg_class where relnamespace = 'public'::regnamespace
             and relkind in ('r', 'p') and not relispartition""",
    )
    found = {
        name: query(url, f"select md5(string_agg(t::text, '|' order by t::text)) from {name} t")  # noqa: S608  # their own names
        for (name,) in names
        if name not in LIVELY
    }
    return found | {"export_jobs": query(url, "select count(*) from export_jobs")}

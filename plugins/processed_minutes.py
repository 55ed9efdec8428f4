"""How far a task got, minute by minute and camera by camera: what coverage and uptime rest on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plugins.frames import FrameSet
from plugins.media_time import to_datetime

COLUMNS = (
    "task_id camera_id minute environment_id sets frames first_frame last_frame first_at last_at"
).split()
UPSERT = """
insert into processed_minutes as m
  (task_id, camera_id, minute, environment_id, sets, frames, first_frame, last_frame, first_at,
   last_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (task_id, camera_id, minute) do update set
  sets = m.sets + excluded.sets, frames = m.frames + excluded.frames,
  last_frame = excluded.last_frame, last_at = excluded.last_at"""


@dataclass(frozen=True, slots=True)
class _TrackedSet:
    index: int
    at: datetime
    camera_ids: tuple[str, ...]
    with_picture: frozenset[str]


class ProcessedMinutes:
    """Counts sets until the batch that stores them is made."""

    def __init__(self, task_id: str, environment_id: str) -> None:
        self._task_id, self._environment_id = task_id, environment_id
        self._waiting: list[_TrackedSet] = []

    def add(self, frame_set: FrameSet, camera_ids: Iterable[str]) -> None:
        """One set that was tracked, of a task with these cameras."""
        at = to_datetime(frame_set.media_time_ns)
        cameras = tuple(camera_ids)
        self._waiting.append(_TrackedSet(frame_set.index, at, cameras, frozenset(frame_set.frames)))

    def take(self, last_index: int) -> list[tuple[Any, ...]]:
        """The rows, in the order of COLUMNS, of the sets up to ``last_index``; each set once."""
        rows: dict[tuple[str, datetime], list[Any]] = {}
        for waiting in self._waiting:
            if waiting.index <= last_index:
                for camera_id in waiting.camera_ids:
                    self._count(rows, waiting, camera_id)
        self._waiting = [w for w in self._waiting if w.index > last_index]
        return [tuple(row) for row in rows.values()]

    def _count(
        self, rows: dict[tuple[str, datetime], list[Any]], seen: _TrackedSet, camera_id: str
    ) -> None:
        minute = seen.at.astimezone(UTC).replace(second=0, microsecond=0)
        names = [self._task_id, camera_id, minute, self._environment_id]
        first = [*names, 0, 0, seen.index, seen.index, seen.at, seen.at]
        row = rows.setdefault((camera_id, minute), first)
        row[4] += 1
        row[5] += camera_id in seen.with_picture
        row[7], row[9] = seen.index, seen.at

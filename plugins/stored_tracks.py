"""A task's stored tracks, set by set, as the live stream had them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from plugins.errors import DatabaseUnavailableError
from plugins.history import AWAY, COMMAND_TIMEOUT_S
from plugins.media_time import from_datetime, to_rfc3339
from plugins.messages import TERMINAL_STATUSES, Track

WINDOW_SETS = 100
EVENTS = """
select frame_index, camera_id, track_id, global_id::text as global_id, media_time,
       x1, y1, x2, y2, confidence, map_x, map_y, map_uncertainty_m
from tracking_events where task_id = $1 and frame_index between $2 and $3
order by frame_index, camera_id, track_id"""
BEGINNINGS = """
select camera_id, track_id, min(media_time) as began
from tracking_events where task_id = $1 group by camera_id, track_id"""
STATE = "select frame_index, status from tasks where task_id = $1"

CameraSets = Mapping[str, list[Track]]


@dataclass(frozen=True, slots=True)
class StoredExtent:
    """How far a task's sets are stored, and whether more may come."""

    last_index: int
    has_ended: bool


class StoredTracks:
    """Reads one task's ``tracking_events`` a window at a time. Used by one thread.

    Every method raises DatabaseUnavailableError when PostgreSQL does not answer.
    """

    def __init__(self, database_url: str, task_id: str) -> None:
        self._url, self._task_id = database_url, task_id
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None
        self._sets: dict[int, dict[str, list[Track]]] = {}
        self._window = range(0)
        self._began: dict[tuple[str, int], datetime] = {}

    def of_set(self, index: int) -> CameraSets:
        """Tracks by camera; empty for a set that was dropped or saw nobody."""
        if index not in self._window:
            self._read_window(index)
        return self._sets.get(index, {})

    def extent(self) -> StoredExtent:
        """As the task's row says."""
        found = self._fetch(STATE)
        if not found:
            return StoredExtent(-1, has_ended=True)
        status = found[0]["status"]
        return StoredExtent(found[0]["frame_index"], status in TERMINAL_STATUSES)

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._connection.terminate()
        self._runner.close()

    def _read_window(self, first: int) -> None:
        if not self._window:
            rows = self._fetch(BEGINNINGS)
            self._began = {(r["camera_id"], r["track_id"]): r["began"] for r in rows}
        last = min(first + WINDOW_SETS - 1, self.extent().last_index)
        self._window = range(first, max(last, first) + 1)
        self._sets = {}
        for row in self._fetch(EVENTS, first, self._window[-1]):
            cameras = self._sets.setdefault(row["frame_index"], {})
            cameras.setdefault(row["camera_id"], []).append(self._track(row))

    def _track(self, row: Any) -> Track:
        time = row["media_time"]
        began = self._began.setdefault((row["camera_id"], row["track_id"]), time)
        is_placed = row["map_x"] is not None
        return Track(
            track_id=row["track_id"],
            global_id=row["global_id"],
            bbox_xyxy=(row["x1"], row["y1"], row["x2"], row["y2"]),
            confidence=row["confidence"],
            class_id=0,
            map_coords=(row["map_x"], row["map_y"]) if is_placed else None,
            map_uncertainty_m=row["map_uncertainty_m"],
            is_focused=False,
            detection_time=to_rfc3339(from_datetime(time)),
            tracking_duration=round((time - began).total_seconds(), 3),
        )

    def _fetch(self, query: str, *values: object) -> list[Any]:
        try:
            return self._runner.run(self._fetch_once(query, *values))
        except AWAY as error:
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
            raise DatabaseUnavailableError(
                f"PostgreSQL does not answer ({error}): start it, or set DATABASE_URL"
            ) from error

    async def _fetch_once(self, query: str, *values: object) -> list[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url, timeout=5.0, command_timeout=COMMAND_TIMEOUT_S
            )
        return list(await self._connection.fetch(query, self._task_id, *values))

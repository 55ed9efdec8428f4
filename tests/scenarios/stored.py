"""What a task has left in the database."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

Row = tuple[Any, ...]
EVENTS = """select camera_id, frame_index, track_id, global_id::text, x1, y1, x2, y2, map_x, map_y
from tracking_events where task_id = $1 order by 1, 2, 3"""


def fetch(database_url: str, sql: str, *args: object) -> list[Mapping[str, Any]]:
    """Rows of a query."""

    async def run() -> list[Mapping[str, Any]]:
        connection = await asyncpg.connect(database_url)
        try:
            return list(await connection.fetch(sql, *args))
        finally:
            await connection.close()

    return asyncio.run(run())


def events_of(database_url: str, task_id: str) -> list[Row]:
    """All events of a task, in order; fails if one is stored twice."""
    rows = [tuple(row) for row in fetch(database_url, EVENTS, task_id)]
    keys = {row[:3] for row in rows}
    assert len(keys) == len(rows), f"{len(rows) - len(keys)} events are stored twice"
    return rows


def frames_of(database_url: str, task_id: str) -> dict[str, set[int]]:
    """For each camera the frame indices that have events."""
    frames: dict[str, set[int]] = {}
    for camera_id, frame_index, *_ in events_of(database_url, task_id):
        frames.setdefault(camera_id, set()).add(frame_index)
    return frames

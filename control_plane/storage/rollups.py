"""What analytics read, kept up with the stored rows: derived, exactly once, from a watermark.

Each task has two watermarks, in ``rollup_progress``: ``minutes`` (counts per camera and per cell of
the floor) and ``visits``. A step takes the sets behind a watermark, adds what they say and moves it
on, in one transaction that holds the watermark's row, so that replicas may work side by side and a
step cut off leaves nothing. Corrected people are folded anew; so are visits when a zone changes.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec
import numpy as np

from control_plane.analytics.floor import Array
from control_plane.analytics.visits import PersonState, Samples, State, Visit, fold, pruned
from control_plane.storage.rollup_sql import (
    ADD_CAMERAS,
    ADD_CELLS,
    ADVANCE,
    BEHIND,
    CLAIM,
    FORGET_MINUTES,
    FORGET_VISITS,
    FORGET_VISITS_OF,
    NEXT_MINUTES,
    POSITIONS,
    POSITIONS_OF,
    PUT_VISIT,
    REWRITTEN,
    SEEN,
    STORED,
)
from control_plane.store import Store

Part = Literal["minutes", "visits"]
Zones = Mapping[str, Mapping[str, Array]]
"""Polygons (N, 2) by environment and zone."""

CHUNK_MINUTES = 5
# Sets this far behind the newest have left the tracker's fixed lag, whatever it is.
SETTLED_SETS = 100
SLACK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Sets after ``done`` up to ``frame_index``, and where in media time they lie."""

    task_id: Any
    environment_id: str
    done: int
    frame_index: int
    first_at: datetime
    last_at: datetime
    cameras: list[str]

    def bounds(self) -> tuple[Any, ...]:
        """The first five parameters of the statements above."""
        times = (self.first_at - SLACK, self.last_at + SLACK)
        return (self.task_id, self.done, self.frame_index, *times)


async def roll_up(store: Store, zones: Zones, max_steps: int = 1_000_000) -> int:
    """Brings every rollup up to what is stored; returns how many steps that took."""
    fingerprints = msgspec.json.encode({e: fingerprint(z) for e, z in zones.items()}).decode()
    steps = 0
    async with store.connection() as connection:
        for row in await connection.fetch(BEHIND, fingerprints):
            polygons = zones.get(row["environment_id"], {})
            while steps < max_steps and await _try_step(connection, row, polygons):
                steps += 1
    return steps


async def correct(
    connection: Any,
    task_id: Any,
    global_ids: Sequence[str],
    times: tuple[datetime, datetime],
    zones: Mapping[str, Array],
) -> None:
    """Folds these people of a task anew, after their rows were changed, erased or renamed; in the
    caller's transaction. ``global_ids`` holds the old names and the new ones, ``times`` the media
    times of the first and the last row that was touched.
    """
    for part in ("minutes", "visits"):
        progress = await connection.fetchrow(CLAIM.replace(" skip locked", ""), task_id, part)
        if progress is not None and progress["frame_index"] >= 0:
            if part == "minutes":
                await _recount(connection, task_id, progress["frame_index"], *times)
            else:
                await _refold(connection, progress, global_ids, zones)


def fingerprint(zones: Mapping[str, Array]) -> str:
    """Changes when a zone does."""
    digest = hashlib.sha256()
    for zone_id in sorted(zones):
        digest.update(zone_id.encode() + b"\0" + zones[zone_id].astype("<f8").tobytes())
    return digest.hexdigest()[:16]


async def _try_step(connection: Any, row: Any, zones: Mapping[str, Array]) -> bool:
    try:
        async with connection.transaction(isolation="repeatable_read"):
            return await _step(
                connection, row["task_id"], row["environment_id"], row["part"], zones
            )
    except asyncpg.SerializationError:  # another replica took this step
        return False


async def _step(
    connection: Any, task_id: Any, environment_id: str, part: Part, zones: Mapping[str, Array]
) -> bool:
    await connection.execute(
        "insert into rollup_progress (task_id, part) values ($1, $2) on conflict do nothing",
        task_id,
        part,
    )
    progress = await connection.fetchrow(CLAIM, task_id, part)
    if progress is None:
        return False
    mark = fingerprint(zones) if part == "visits" else ""
    done, state = progress["frame_index"], _decoded(progress["state"])
    if mark != progress["fingerprint"]:
        await connection.execute(FORGET_VISITS, task_id)
        done, state = -1, {}
    chunk = await _next_chunk(connection, task_id, environment_id, done)
    if chunk is None:
        if mark != progress["fingerprint"]:
            await connection.execute(ADVANCE, task_id, part, -1, None, mark, None)
        return False
    if part == "minutes":
        await _add_minutes(connection, chunk)
    else:
        state = await _add_visits(connection, chunk, state, zones)
    encoded = msgspec.msgpack.encode(state) if state else None
    await connection.execute(
        ADVANCE, task_id, part, chunk.frame_index, chunk.last_at, mark, encoded
    )
    return True


async def _next_chunk(
    connection: Any, task_id: Any, environment_id: str, done: int
) -> Chunk | None:
    stored = await connection.fetchval(STORED, task_id, SETTLED_SETS)
    if stored is None or stored <= done:
        return None
    minutes = await connection.fetch(NEXT_MINUTES, task_id, done, CHUNK_MINUTES)
    if not minutes:
        return None
    cameras = sorted({c for m in minutes for c in m["cameras"]})
    upto = min(stored, minutes[-1]["last_frame"])
    last_at = minutes[-1]["last_at"]
    return Chunk(task_id, environment_id, done, upto, minutes[0]["first_at"], last_at, cameras)


async def _add_minutes(connection: Any, chunk: Chunk) -> None:
    rewritten = await connection.fetch(REWRITTEN, chunk.task_id, chunk.done, chunk.frame_index)
    await connection.execute(ADD_CAMERAS, *chunk.bounds(), chunk.cameras)
    await connection.execute(ADD_CELLS, *chunk.bounds())
    for row in rewritten if chunk.done >= 0 else ():
        if row["verdict"] != "merged":  # where both were seen, a merge drops one row
            continue
        seen = await connection.fetchrow(SEEN, chunk.task_id, row["global_id"])
        if seen is not None:
            await _recount(connection, chunk.task_id, chunk.frame_index, *seen)


async def _add_visits(
    connection: Any, chunk: Chunk, state: State, zones: Mapping[str, Array]
) -> State:
    rewritten = await connection.fetch(REWRITTEN, chunk.task_id, chunk.done, chunk.frame_index)
    if rewritten and chunk.done >= 0:
        ids = sorted({row[k] for row in rewritten for k in ("global_id", "other_global_id")})
        state = await _folded_anew(connection, chunk, chunk.done, ids, state=state, zones=zones)
    rows = await connection.fetch(POSITIONS, *chunk.bounds())
    state, visits = await asyncio.to_thread(fold, state, samples_of(rows), zones)
    await _put(connection, chunk.task_id, chunk.environment_id, visits)
    newest = max((row["at_s"] for row in rows), default=chunk.last_at.timestamp())
    return pruned(state, newest)


async def _folded_anew(
    connection: Any,
    chunk: Chunk,
    upto: int,
    global_ids: Sequence[str],
    *,
    state: State,
    zones: Mapping[str, Array],
) -> State:
    """These people's visits from their rows up to a set, and the state after it."""
    await connection.execute(FORGET_VISITS_OF, chunk.task_id, global_ids)
    rows = await connection.fetch(POSITIONS_OF, chunk.task_id, upto, global_ids)
    fresh, visits = await asyncio.to_thread(fold, {}, samples_of(rows), zones)
    await _put(connection, chunk.task_id, chunk.environment_id, visits)
    return {g: s for g, s in state.items() if g not in global_ids} | fresh


async def _refold(
    connection: Any, progress: Any, global_ids: Sequence[str], zones: Mapping[str, Array]
) -> None:
    task_id, upto = progress["task_id"], progress["frame_index"]
    environment_id = await connection.fetchval(
        "select environment_id from tasks where task_id = $1", task_id
    )
    now = progress["last_at"]
    chunk = Chunk(task_id, environment_id, -1, upto, now, now, [])
    state = _decoded(progress["state"])
    state = await _folded_anew(connection, chunk, upto, global_ids, state=state, zones=zones)
    encoded = msgspec.msgpack.encode(pruned(state, now.timestamp()))
    await connection.execute(
        ADVANCE, task_id, "visits", upto, now, progress["fingerprint"], encoded
    )


async def _recount(
    connection: Any, task_id: Any, upto: int, first: datetime, last: datetime
) -> None:
    """The minutes of a task from ``first`` to ``last`` anew."""
    start = first.astimezone(UTC).replace(second=0, microsecond=0)
    end = last.astimezone(UTC).replace(second=59, microsecond=999_999)
    for statement in FORGET_MINUTES:
        await connection.execute(statement, task_id, start, end)
    cameras = await connection.fetchval(
        "select array_agg(distinct camera_id) from processed_minutes where task_id = $1", task_id
    )
    await connection.execute(ADD_CAMERAS, task_id, -1, upto, start, end, cameras or [])
    await connection.execute(ADD_CELLS, task_id, -1, upto, start, end)


async def _put(connection: Any, task_id: Any, environment_id: str, visits: Sequence[Visit]) -> None:
    last = {(v.kind, v.place_id, v.global_id, v.entered_s): v for v in visits}
    if last:
        await connection.executemany(
            PUT_VISIT,
    [
                (task_id, v.kind, v.place_id, v.global_id, _at(v.entered_s), _at(v.left_s),
                 environment_id)
                for v in last.values()
            ],
        )  # fmt: skip


def samples_of(rows: Sequence[Any]) -> list[Samples]:
    """Rows of POSITIONS, which are ordered by person, as one Samples for each."""
    people: dict[str, list[Any]] = {}
    for row in rows:
        people.setdefault(row["global_id"], []).append(row)
    return [
        Samples(
            global_id,
            np.array([r["at_s"] for r in own]),
            np.array([(r["map_x"], r["map_y"]) for r in own], dtype=np.float64),
            [r["camera_ids"] for r in own],
        )
        for global_id, own in people.items()
    ]


def _decoded(state: bytes | None) -> State:
    return {} if state is None else msgspec.msgpack.decode(state, type=dict[str, PersonState])


def _at(seconds: float) -> datetime:
    """Rounded to the microsecond that PostgreSQL keeps."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1e6))

"""A task as people see it: its row in PostgreSQL, and the live state its worker keeps in Redis."""

from collections.abc import Awaitable, Sequence
from datetime import datetime

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from control_plane.access.spare_redis import SpareRedis
from control_plane.store import Store, TaskRow, parse_task_id
from plugins.errors import DatabaseUnavailableError
from plugins.messages import (
    TERMINAL_STATUSES,
    CameraProgress,
    Playback,
    TaskProgress,
    TaskStatus,
    playback_key,
    progress_key,
    replay_key,
)

API = "/api/v1/processing-tasks"
Asked = tuple[Awaitable[bytes | None], Awaitable[bytes | None]]


class TaskView(msgspec.Struct, frozen=True):
    """A task's state. ``progress`` is 0..1 of media time; times are the computer's, in UTC.

    ``is_live`` is false where the figures are the last stored ones, not the worker's own;
    ``playback`` is null before the first set.
    """

    task_id: str
    environment_id: str
    status: TaskStatus
    progress: float
    error: str | None
    message: str
    stop_requested: bool
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cameras: dict[str, CameraProgress]
    sets: int
    dropped: int
    persons: int
    sets_per_s: float
    frame_index: int
    eta_s: float | None
    stage_ms: dict[str, dict[str, float]]
    is_live: bool
    status_url: str
    websocket_url: str
    frames_url: str
    playback: Playback | None = None


def task_view(row: TaskRow, live: TaskProgress | None) -> TaskView:
    """Joins both; the stored end of a task wins over whatever its worker said last."""
    has_ended = row.status in TERMINAL_STATUSES
    state = row.progress if live is None else live
    status = row.status if has_ended or live is None else live.status
    return _view(row.task_id, row.environment_id, status, state, row, is_live=live is not None)


def _view(
    task_id: str,
    environment_id: str,
    status: TaskStatus,
    state: TaskProgress,
    row: TaskRow | None,
    *,
    is_live: bool,
) -> TaskView:
    return TaskView(
        task_id=task_id,
        environment_id=environment_id,
        status=status,
        progress=1.0 if status == "COMPLETED" else state.progress,
        error=(row.error if row else None) or state.error,
        message=state.message,
        stop_requested=bool(row and row.stop_requested),
        created_at=row.created_at if row else None,
        started_at=row.started_at if row else None,
        finished_at=row.finished_at if row else None,
        cameras=state.cameras,
        sets=state.sets,
        dropped=state.dropped,
        persons=state.persons,
        sets_per_s=state.sets_per_s,
        frame_index=state.frame_index,
        eta_s=None if status in TERMINAL_STATUSES else state.eta_s,
        stage_ms=state.stage_ms,
        is_live=is_live,
        status_url=f"{API}/{task_id}/status",
        websocket_url=f"/ws/tracking/{task_id}",
        frames_url=f"/ws/frames/{task_id}",
    )


async def read_task(store: Store, redis: SpareRedis, task_id: str) -> TaskView:
    """One task's state. Redis may be away; while PostgreSQL is, a task that Redis knows is shown
    by what Redis has. TaskNotFoundError, or DatabaseUnavailableError when neither can tell.
    """
    task_id = str(parse_task_id(task_id))
    progress, playback = redis.get(progress_key(task_id)), _ask_playback(redis, task_id)
    try:
        row = await store.get_task(task_id)
    except DatabaseUnavailableError:
        live = _progress(await progress)
        if live is None:
            raise
        view, status = _view(task_id, "", live.status, live, None, is_live=True), live.status
    else:
        view, status = task_view(row, _progress(await progress)), row.status
    has_ended = status in TERMINAL_STATUSES
    return msgspec.structs.replace(view, playback=await _playback(playback, has_ended=has_ended))


async def read_playback(redis: SpareRedis, task_id: str, *, has_ended: bool) -> Playback | None:
    """How a task plays: its replay where there is one, else its worker; None when neither says."""
    return await _playback(_ask_playback(redis, task_id), has_ended=has_ended)


def _ask_playback(redis: SpareRedis, task_id: str) -> Asked:
    return redis.get(replay_key(task_id)), redis.get(playback_key(task_id))


async def _playback(asked: Asked, *, has_ended: bool) -> Playback | None:
    replay, live = await asked[0], await asked[1]
    found = replay or live
    if found is None:
        return None
    playback = msgspec.json.decode(found, type=Playback)
    is_stopped = has_ended and not replay
    return msgspec.structs.replace(playback, state="stopped") if is_stopped else playback


async def read_progress(redis: "Redis", task_id: str) -> TaskProgress | None:
    """What the worker last said; None when it has not, or Redis does not answer."""
    return (await read_all_progress(redis, [task_id])).get(task_id)


async def read_all_progress(redis: "Redis", task_ids: Sequence[str]) -> dict[str, TaskProgress]:
    """What the workers of these tasks last said, in one round trip; without those who have not."""
    if not task_ids:
        return {}
    try:
        encoded = await redis.mget([progress_key(task_id) for task_id in task_ids])
    except RedisError:
        return {}
    return {
        task_id: msgspec.json.decode(state, type=TaskProgress)
        for task_id, state in zip(task_ids, encoded, strict=True)
        if state
    }


def _progress(encoded: bytes | None) -> TaskProgress | None:
    return None if encoded is None else msgspec.json.decode(encoded, type=TaskProgress)

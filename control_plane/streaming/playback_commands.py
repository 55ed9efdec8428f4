"""Playback as viewers command it: to the worker, or to a replay that is begun when needed.

The last command wins; everybody sees who gave it in the state. Ahead of what is processed the
worker runs at full speed; what is processed already is replayed from what is stored.
"""

from datetime import datetime

import msgspec

from control_plane.access.callers import Caller
from control_plane.errors import SeekOutOfRangeError, TaskNotPlayingError
from control_plane.services import Services
from control_plane.task_state import TaskView, read_playback
from plugins.commands import position_of
from plugins.frames import NS_PER_S
from plugins.media_time import from_datetime, parse_rfc3339, to_rfc3339
from plugins.messages import (
    REPLAY_REQUESTS,
    TERMINAL_STATUSES,
    Playback,
    PlaybackCommand,
    commands_list,
    replay_commands_list,
    replay_key,
)
from plugins.plan import chosen_cameras, chosen_range

STARTING_S = 20  # how long a replay may take to begin
LIST_KEPT_S = 60


async def playback_of(services: Services, task: TaskView) -> Playback:
    """How a task plays; TaskNotPlayingError while there is nothing to play."""
    has_ended = task.status in TERMINAL_STATUSES
    playback = await read_playback(services.spare_redis, task.task_id, has_ended=has_ended)
    if playback is None:
        playback = await _stored_extent(services, task)
    return playback


async def command_playback(
    services: Services, task: TaskView, command: PlaybackCommand
) -> Playback:
    """Hands a command to whoever plays the task; returns the state before it is obeyed.

    SeekOutOfRangeError for a place outside the task, TaskNotPlayingError where nothing is stored.
    """
    playback = await playback_of(services, task)
    if command.type == "seek":
        _check_range(command.time_ns or 0, playback)
    if playback.mode == "replay" and playback.state != "stopped":
        await _hand_over(services, replay_commands_list(task.task_id), command)
    elif task.status in TERMINAL_STATUSES or _is_behind(command, playback):
        await _begin_replay(services, task, command, playback)
    else:
        await _hand_over(services, commands_list(task.task_id), command)
    return playback


def seek_time_ns(playback: Playback, position: float | None, timestamp: datetime | None) -> int:
    """Media time of a position 0..1 or a timestamp; exactly one is given."""
    if timestamp is not None:
        return from_datetime(timestamp)
    start_ns, end_ns = parse_rfc3339(playback.start), parse_rfc3339(playback.end)
    return start_ns + round((position or 0.0) * (end_ns - start_ns))


def seek_command(
    playback: Playback, position: float | None, timestamp: datetime | None, caller: Caller
) -> PlaybackCommand:
    """The command for it."""
    time_ns = seek_time_ns(playback, position, timestamp)
    return PlaybackCommand("seek", time_ns=time_ns, by=caller.name)


def _check_range(time_ns: int, playback: Playback) -> None:
    if not parse_rfc3339(playback.start) <= time_ns <= parse_rfc3339(playback.end):
        raise SeekOutOfRangeError(
            f"{to_rfc3339(time_ns)} is outside this task, which plays {playback.start} to "
            f"{playback.end}: seek to a place in between"
        )


def _is_behind(command: PlaybackCommand, playback: Playback) -> bool:
    if command.type != "seek" or playback.timestamp_media_utc is None:
        return False
    return (command.time_ns or 0) <= parse_rfc3339(playback.timestamp_media_utc)


async def _begin_replay(
    services: Services, task: TaskView, command: PlaybackCommand, playback: Playback
) -> None:
    first = msgspec.structs.replace(
        playback,
        mode="replay",
        state="paused" if command.type == "pause" else "seeking",
        speed=command.speed or playback.speed or 1.0,
    )
    is_first = await services.redis.set(
        replay_key(task.task_id), msgspec.json.encode(first), ex=STARTING_S, nx=True
    )
    await _hand_over(services, replay_commands_list(task.task_id), command)
    if is_first:
        await services.redis.rpush(REPLAY_REQUESTS, task.task_id)


async def _hand_over(services: Services, key: str, command: PlaybackCommand) -> None:
    async with services.redis.pipeline(transaction=True) as pipe:
        pipe.rpush(key, msgspec.json.encode(command))
        pipe.expire(key, LIST_KEPT_S)
        await pipe.execute()


async def _stored_extent(services: Services, task: TaskView) -> Playback:
    """Of a task whose worker has not spoken yet, or so long ago that it is forgotten."""
    row = await services.store.get_task(task.task_id)
    if row.frame_index < 0:
        raise TaskNotPlayingError(
            f"task {task.task_id} is {task.status} and has no set yet: wait until it is PROCESSING"
        )
    environment = services.environment(task.environment_id)
    request = row.request
    recordings = await services.recordings.read(environment)
    chosen = {
        c.camera_id: recordings[c.camera_id] for c in chosen_cameras(environment, request.cameras)
    }
    start_ns, end_ns = chosen_range(chosen, request, environment)
    newest_ns = start_ns + round(row.frame_index * NS_PER_S / environment.rate_hz)
    return Playback(
        mode="live",
        state="stopped",
        speed=1.0,
        position=position_of(newest_ns, start_ns, end_ns),
        timestamp_media_utc=to_rfc3339(newest_ns),
        frame_index=row.frame_index,
        start=to_rfc3339(start_ns),
        end=to_rfc3339(end_ns),
        duration_s=(end_ns - start_ns) / NS_PER_S,
    )

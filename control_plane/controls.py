"""``/api/v1/tracking/controls/{task}``: play, pause, seek and speed of a task or of what it stored.

The last command wins, whoever gives it; everybody sees it in the state and in ``status_update``.
"""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_task
from control_plane.audit import record
from control_plane.errors import (
    SeekOutOfRangeError,
    TaskNotFoundError,
    TaskNotPlayingError,
    documented,
)
from control_plane.live import Seek, Speed
from control_plane.services import Services
from control_plane.streaming.playback_commands import command_playback, playback_of, seek_command
from control_plane.tasks import EXAMPLE_ID, TaskId
from plugins.errors import InvalidInputError, RedisUnavailableError
from plugins.messages import Playback, PlaybackCommand

API = "/api/v1/tracking/controls/{task_id:str}"
EXAMPLE: dict[str, Any] = {
    "mode": "live",
    "state": "playing",
    "speed": 1.0,
    "position": 0.42,
    "timestamp_media_utc": "2024-05-01T09:30:41.900000Z",
    "frame_index": 419,
    "start": "2024-05-01T09:30:00.000000Z",
    "end": "2024-05-01T09:31:40.000000Z",
    "duration_s": 100.0,
    "can_seek": True,
    "last_transition_at": "2026-01-01T12:00:00.000000Z",
    "last_command": "play",
    "by": "ada",
    "error": None,
}


class Accepted(msgspec.Struct, frozen=True):
    """The command is on its way; ``playback`` is the state before it."""

    task_id: str
    command: str
    playback: Playback


def _commanded(name: str) -> Any:
    example = {"task_id": EXAMPLE_ID, "command": name, "playback": EXAMPLE}
    return documented(
        202,
        Accepted,
        example,
        TaskNotFoundError,
        TaskNotPlayingError,
        SeekOutOfRangeError,
        InvalidInputError,
        RedisUnavailableError,
    )


@get(
    API,
    tags=["playback"],
    opt={"role": "viewer"},
    responses=documented(200, Playback, EXAMPLE, TaskNotFoundError, TaskNotPlayingError),
)
async def controls(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> Playback:
    """How the task plays: live or a replay, playing or paused, how fast and where."""
    return await playback_of(services, await visible_task(services, caller, task_id))


@post(
    f"{API}/play",
    status_code=202,
    tags=["playback"],
    opt={"role": "operator"},
    responses=_commanded("play"),
)
async def play(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> Accepted:
    """Go on. A task that has ended is shown again from what is stored, without the models."""
    return await _command(services, caller, task_id, PlaybackCommand("play", by=caller.name))


@post(
    f"{API}/pause",
    status_code=202,
    tags=["playback"],
    opt={"role": "operator"},
    responses=_commanded("pause"),
)
async def pause(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> Accepted:
    """Hold the picture. No set is lost: processing goes on where it was."""
    return await _command(services, caller, task_id, PlaybackCommand("pause", by=caller.name))


@post(
    f"{API}/seek",
    status_code=202,
    tags=["playback"],
    opt={"role": "operator"},
    responses=_commanded("seek"),
)
async def seek(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: Annotated[
        Seek,
        Body(
            examples=[
                Example(summary="to the middle", value={"position": 0.5}),
                Example(summary="to a moment", value={"timestamp": "2024-05-01T09:30:20Z"}),
            ]
        ),
    ],
) -> Accepted:
    """Go to a place. What is processed already is replayed from what is stored; further ahead the
    task runs at full speed until there, since every set has to be seen to know who is who.
    """
    task = await visible_task(services, caller, task_id)
    playback = await playback_of(services, task)
    command = seek_command(playback, data.position, data.timestamp, caller)
    return await _command(services, caller, task_id, command)


@post(
    f"{API}/speed",
    status_code=202,
    tags=["playback"],
    opt={"role": "operator"},
    responses=_commanded("speed"),
)
async def speed(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: Annotated[Speed, Body(examples=[Example(summary="double", value={"speed": 2.0})])],
) -> Accepted:
    """Play faster or slower, 0.25 to 4 times real time."""
    command = PlaybackCommand("speed", speed=data.speed, by=caller.name)
    return await _command(services, caller, task_id, command)


async def _command(
    services: Services, caller: Caller, task_id: str, command: PlaybackCommand
) -> Accepted:
    task = await visible_task(services, caller, task_id)
    playback = await command_playback(services, task, command)
    await record(services, caller, f"playback.{command.type}", task.task_id)
    return Accepted(task.task_id, command.type, playback)


HANDLERS: list[ControllerRouterHandler] = [controls, play, pause, seek, speed]

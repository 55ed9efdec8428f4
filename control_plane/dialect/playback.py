"""``controls``: the frontend's pause, resume and seek, answered with the state that follows."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane import controls
from control_plane.access.callers import Caller, visible_task
from control_plane.errors import TaskNotFoundError, documented
from control_plane.errors import TaskNotPlayingError as NotPlayingError
from control_plane.live import Seek
from control_plane.services import Services
from control_plane.streaming.playback_commands import playback_of
from control_plane.task_state import TaskView
from control_plane.tasks import EXAMPLE_ID, TaskId
from plugins.errors import (
    InvalidInputError,
    RedisUnavailableError,
)
from plugins.frames import NS_PER_S
from plugins.media_time import parse_rfc3339, to_datetime
from plugins.messages import Playback

CONTROLS = "/api/v1/controls/{task_id:str}"
OBEYED_WITHIN_S = 2.0
LOOK_S = 0.1
TAG = "frontend"


class ControlStatus(msgspec.Struct, frozen=True):
    """How a task plays; null is what is not known before its first set."""

    task_id: str
    state: Literal["playing", "paused", "stopped"]
    last_transition_at: str | None
    last_frame_index: int | None
    last_error: str | None
    total_frames: int | None


class SeekTo(msgspec.Struct, frozen=True):
    """One of: a frame (index of a set in the task), a position 0..1, a moment of media time."""

    frame_index: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None
    position: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


EXAMPLE_CONTROLS = ControlStatus(EXAMPLE_ID, "playing", "2026-01-01T12:00:00Z", 419, None, 1000)
COMMANDED = documented(
    200,
    ControlStatus,
    EXAMPLE_CONTROLS,
    TaskNotFoundError,
    NotPlayingError,
    InvalidInputError,
    RedisUnavailableError,
)


@get(f"{CONTROLS}/status", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, ControlStatus, EXAMPLE_CONTROLS, TaskNotFoundError))  # fmt: skip
async def control_status(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> ControlStatus:
    """How a task plays; ``stopped`` before its first set, and when it has ended."""
    task = await visible_task(services, caller, task_id)
    try:
        return _status(services, task, await playback_of(services, task))
    except NotPlayingError:
        return ControlStatus(task.task_id, "stopped", None, None, None, None)


@post(f"{CONTROLS}/pause", status_code=200, tags=[TAG], opt={"role": "operator"},
      responses=COMMANDED)  # fmt: skip
async def pause(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> ControlStatus:
    """Hold the picture."""
    accepted = await controls.pause.fn(services=services, caller=caller, task_id=task_id)
    return await _obeyed(services, caller, accepted)


@post(f"{CONTROLS}/resume", status_code=200, tags=[TAG], opt={"role": "operator"},
      responses=COMMANDED)  # fmt: skip
async def resume(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> ControlStatus:
    """Go on."""
    accepted = await controls.play.fn(services=services, caller=caller, task_id=task_id)
    return await _obeyed(services, caller, accepted)


@post(f"{CONTROLS}/seek", status_code=200, tags=[TAG], opt={"role": "operator"},
      responses=COMMANDED)  # fmt: skip
async def seek(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: JSONBody[SeekTo],
) -> ControlStatus:
    """Go to a frame, a position or a moment."""
    task = await visible_task(services, caller, task_id)
    place = await _place(services, task, data)
    accepted = await controls.seek.fn(services=services, caller=caller, task_id=task_id, data=place)
    return await _obeyed(services, caller, accepted)


def _status(services: Services, task: TaskView, playback: Playback) -> ControlStatus:
    rate_hz = services.environment(task.environment_id).rate_hz
    return ControlStatus(
        task_id=task.task_id,
        state="playing" if playback.state == "seeking" else playback.state,
        last_transition_at=playback.last_transition_at,
        last_frame_index=playback.frame_index if playback.frame_index >= 0 else None,
        last_error=playback.error or task.error,
        total_frames=round(playback.duration_s * rate_hz),
    )


async def _obeyed(services: Services, caller: Caller, accepted: controls.Accepted) -> ControlStatus:
    """The state once whoever plays the task has followed the command, or as it is by then."""
    for _ in range(round(OBEYED_WITHIN_S / LOOK_S)):
        task = await visible_task(services, caller, accepted.task_id)
        playback = await playback_of(services, task)
        if _has_followed(playback, accepted):
            break
        await asyncio.sleep(LOOK_S)
    return _status(services, task, playback)


def _has_followed(now: Playback, accepted: controls.Accepted) -> bool:
    if accepted.command == "pause":
        return now.state == "paused"
    if accepted.command == "play":
        return now.state == "playing"
    before = accepted.playback
    return (now.mode, now.last_transition_at) != (before.mode, before.last_transition_at)


async def _place(services: Services, task: TaskView, data: SeekTo) -> Seek:
    given = [v for v in (data.frame_index, data.position, data.timestamp) if v is not None]
    if len(given) != 1:
        raise InvalidInputError("give one of frame_index, position (0 to 1) and timestamp")
    if data.frame_index is None:
        return Seek(data.position, data.timestamp)
    playback = await playback_of(services, task)
    rate_hz = services.environment(task.environment_id).rate_hz
    offset_ns = round(data.frame_index * NS_PER_S / rate_hz)
    return Seek(timestamp=to_datetime(parse_rfc3339(playback.start) + offset_ns))


HANDLERS: list[ControllerRouterHandler] = [control_status, pause, resume, seek]

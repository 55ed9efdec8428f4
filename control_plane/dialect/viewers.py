"""``focus``: whom the frontend's user follows, and how that is marked."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane import focus
from control_plane.access.callers import Caller
from control_plane.errors import PersonNotFoundError, TaskNotFoundError, documented
from control_plane.focus import EXAMPLE_PERSON
from control_plane.live import Follow
from control_plane.services import Services
from control_plane.streaming.focus_state import KEPT_S, viewer_of
from control_plane.tasks import EXAMPLE_ID, TaskId
from plugins.errors import (
    RedisUnavailableError,
)

FOCUS = "/api/v1/focus/{task_id:str}"
TAG = "frontend"


class Highlight(msgspec.Struct, frozen=True):
    """How the frontend marks the person; kept and given back, the server draws nothing by it."""

    enabled: bool | None = None
    intensity: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    border_thickness: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    border_color: tuple[int, int, int] | None = None
    glow_effect: bool | None = None
    darken_background: bool | None = None


class SetFocus(msgspec.Struct, frozen=True):
    """Whom to follow."""

    global_person_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    cross_camera_sync: bool = True
    highlight_settings: Highlight | None = None


class FocusDetail(msgspec.Struct, frozen=True):
    """Since when, and how it is marked. A person is followed in all cameras, always."""

    start_time: datetime | None
    cross_camera_sync: bool
    highlight_settings: Highlight


class FocusState(msgspec.Struct, frozen=True):
    """Whom the caller follows in a task; ``focus_duration`` in seconds, null for nobody."""

    message: str
    task_id: str
    focused_person_id: str | None
    has_active_focus: bool
    focus_duration: float | None
    focus_state: FocusDetail | None


EXAMPLE_FOCUS: dict[str, Any] = {
    "message": "following",
    "task_id": EXAMPLE_ID,
    "focused_person_id": EXAMPLE_PERSON,
    "has_active_focus": True,
    "focus_duration": 12.5,
    "focus_state": {
        "start_time": "2026-01-01T12:00:00Z",
        "cross_camera_sync": True,
        "highlight_settings": {"enabled": True, "intensity": 0.8},
    },
}
FOCUSED = documented(
    200, FocusState, EXAMPLE_FOCUS, TaskNotFoundError, PersonNotFoundError, RedisUnavailableError
)


@get(FOCUS, tags=[TAG], opt={"role": "viewer"}, responses=FOCUSED)
async def read_focus(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> FocusState:
    """Whom the caller follows."""
    view = await focus.current_focus.fn(services=services, caller=caller, task_id=task_id)
    return await _focus_state(services, caller, view)


@post(FOCUS, status_code=200, tags=[TAG], opt={"role": "viewer"}, responses=FOCUSED)
async def set_focus(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: JSONBody[SetFocus],
) -> FocusState:
    """Follow a person."""
    person = Follow(data.global_person_id)
    view = await focus.focus_on.fn(services=services, caller=caller, task_id=task_id, data=person)
    if data.highlight_settings is not None:
        await _keep(services, caller, view.task_id, data.highlight_settings)
    return await _focus_state(services, caller, view)


@put(f"{FOCUS}/highlight-settings", tags=[TAG], opt={"role": "viewer"}, responses=FOCUSED)
async def set_highlight(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: JSONBody[Highlight],
) -> FocusState:
    """Remember how the person is marked; what is left out stays as it was."""
    view = await focus.current_focus.fn(services=services, caller=caller, task_id=task_id)
    kept = msgspec.to_builtins(await _kept(services, caller, view.task_id))
    given = {k: v for k, v in msgspec.to_builtins(data).items() if v is not None}
    await _keep(services, caller, view.task_id, msgspec.convert(kept | given, Highlight))
    return await _focus_state(services, caller, view)


@delete(FOCUS, status_code=200, tags=[TAG], opt={"role": "viewer"}, responses=FOCUSED)
async def clear_focus(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> FocusState:
    """Follow nobody."""
    view = await focus.focus_off.fn(services=services, caller=caller, task_id=task_id)
    return await _focus_state(services, caller, view)


async def _focus_state(services: Services, caller: Caller, view: focus.FocusView) -> FocusState:
    seconds = None if view.since is None else (datetime.now(UTC) - view.since).total_seconds()
    kept = await _kept(services, caller, view.task_id)
    return FocusState(
        message="following" if view.is_active else "following nobody",
        task_id=view.task_id,
        focused_person_id=view.focused_person_id,
        has_active_focus=view.is_active,
        focus_duration=None if seconds is None else round(max(seconds, 0.0), 3),
        focus_state=FocusDetail(view.since, True, kept) if view.is_active else None,
    )


def _highlight_key(caller: Caller, task_id: str) -> str:
    return f"spoton:task:{task_id}:highlight:{viewer_of(caller.user_id)}"


async def _keep(services: Services, caller: Caller, task_id: str, highlight: Highlight) -> None:
    encoded = msgspec.json.encode(highlight)
    await services.redis.set(_highlight_key(caller, task_id), encoded, ex=KEPT_S)


async def _kept(services: Services, caller: Caller, task_id: str) -> Highlight:
    found = await services.redis.get(_highlight_key(caller, task_id))
    return msgspec.json.decode(found, type=Highlight) if found else Highlight()


HANDLERS: list[ControllerRouterHandler] = [
    read_focus,
    set_focus,
    set_highlight,
    clear_focus,
]

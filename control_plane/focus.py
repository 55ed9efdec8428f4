"""Following one person over REST: ``/api/v1/tracking/…``; ``focus_socket`` tells what they do.

A viewer follows at most one person of a task; it is kept per user for a day, so it outlives
connections and holds in all of the user's views.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromQuery, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_task
from control_plane.audit import record
from control_plane.errors import PersonNotFoundError, TaskNotFoundError, documented
from control_plane.identity.person_details import (
    PersonDetails,
    person_details,
    visible_task_with,
)
from control_plane.live import Follow
from control_plane.pages import Page
from control_plane.services import Services
from control_plane.streaming.focus_state import Focus, read_focus, viewer_of
from control_plane.tasks import EXAMPLE_ID, ActivePerson, TaskId, persons_of
from plugins.errors import DatabaseUnavailableError, RedisUnavailableError
from plugins.messages import TrackingUpdate, tracks_stream

API = "/api/v1/tracking"
PersonId = Annotated[str, PathParameter(description="global id", max_length=64)]


class FocusView(msgspec.Struct, frozen=True):
    """Whom the caller follows in a task; all null for nobody."""

    task_id: str
    focused_person_id: str | None
    is_active: bool
    since: datetime | None


class ActiveTrack(msgspec.Struct, frozen=True):
    """A person who is seen now, and in which task."""

    task_id: str
    environment_id: str
    person: ActivePerson


EXAMPLE_PERSON = "0d9f3c62-2b7e-5c53-9d0c-6a2f0a1e7b11"
EXAMPLE_FOCUS = {
    "task_id": EXAMPLE_ID,
    "focused_person_id": EXAMPLE_PERSON,
    "is_active": True,
    "since": "2026-01-01T12:00:00Z",
}
EXAMPLE_DETAILS: dict[str, Any] = {
    "global_id": EXAMPLE_PERSON,
    "task_id": EXAMPLE_ID,
    "first_detected": "2024-05-01T09:30:02.100000Z",
    "last_seen": "2024-05-01T09:30:41.900000Z",
    "tracking_duration": 39.8,
    "current_camera": "c01",
    "position_history": [
        {
            "timestamp": "2024-05-01T09:30:41.900000Z",
            "camera": "c01",
            "bbox": [812.0, 240.5, 901.0, 520.0],
            "map_coords": [7.2, 3.1],
        }
    ],
    "movement_metrics": {
        "average_speed": 1.12,
        "max_speed": 1.7,
        "total_distance": 39.4,
        "dwell_time": 35.1,
    },
}
EXAMPLE_ACTIVE = {
    "items": [
        {
            "task_id": EXAMPLE_ID,
            "environment_id": "campus",
            "person": {
                "global_id": EXAMPLE_PERSON,
                "cameras": ["c01"],
                "map_coords": [12.4, 6.1],
                "map_uncertainty_m": 0.2,
                "last_seen_media_utc": "2024-05-01T09:30:41.900000Z",
            },
        }
    ],
    "total": 1,
    "next_cursor": None,
    "has_next": False,
}
EXAMPLE_FOLLOW = Body(examples=[Example(summary="a person", value={"person_id": EXAMPLE_PERSON})])
FOCUSED = documented(
    200, FocusView, EXAMPLE_FOCUS, TaskNotFoundError, PersonNotFoundError, RedisUnavailableError
)


@post(
    f"{API}/focus/{{task_id:str}}",
    status_code=200,
    tags=["focus"],
    opt={"role": "viewer"},
    responses=FOCUSED,
)
async def focus_on(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    task_id: TaskId,
    data: Annotated[Follow, EXAMPLE_FOLLOW],
) -> FocusView:
    """Follow a person of a task; whoever was followed before is not any more."""
    task = await visible_task(services, caller, task_id)
    return await follow(services, caller, task.task_id, data.person_id)


@get(
    f"{API}/focus/{{task_id:str}}",
    tags=["focus"],
    opt={"role": "viewer"},
    responses=documented(200, FocusView, EXAMPLE_FOCUS, TaskNotFoundError, RedisUnavailableError),
)
async def current_focus(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> FocusView:
    """Whom the caller follows in a task."""
    task = await visible_task(services, caller, task_id)
    focus = await read_focus(services.redis, task.task_id, viewer_of(caller.user_id))
    return _view(task.task_id, focus)


@delete(
    f"{API}/focus/{{task_id:str}}",
    status_code=200,
    tags=["focus"],
    opt={"role": "viewer"},
    responses=documented(200, FocusView, EXAMPLE_FOCUS, TaskNotFoundError, RedisUnavailableError),
)
async def focus_off(
    services: NamedDependency[Services], caller: NamedDependency[Caller], task_id: TaskId
) -> FocusView:
    """Follow nobody."""
    task = await visible_task(services, caller, task_id)
    return await unfollow(services, caller, task.task_id)


@post(
    f"{API}/persons/{{global_id:str}}/follow",
    status_code=200,
    tags=["focus"],
    opt={"role": "viewer"},
    responses=FOCUSED,
)
async def follow_person(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: FromQuery[str | None] = None,
) -> FocusView:
    """Follow a person in ``task_id``, or where they were seen last."""
    task = await visible_task_with(services, caller, global_id, task_id)
    return await follow(services, caller, task.task_id, global_id)


@delete(
    f"{API}/persons/{{global_id:str}}/follow",
    status_code=200,
    tags=["focus"],
    opt={"role": "viewer"},
    responses=FOCUSED,
)
async def unfollow_person(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: FromQuery[str | None] = None,
) -> FocusView:
    """Follow this person no more; somebody else the caller follows stays."""
    task = await visible_task_with(services, caller, global_id, task_id)
    focus = await read_focus(services.redis, task.task_id, viewer_of(caller.user_id))
    if focus is not None and focus.global_id != global_id.lower():
        return _view(task.task_id, focus)
    return await unfollow(services, caller, task.task_id)


@get(
    f"{API}/persons/{{global_id:str}}/details",
    tags=["focus"],
    opt={"role": "viewer"},
    responses=documented(
        200,
        PersonDetails,
        EXAMPLE_DETAILS,
        PersonNotFoundError,
        TaskNotFoundError,
        DatabaseUnavailableError,
    ),
)
async def details(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: FromQuery[str | None] = None,
) -> PersonDetails:
    """A person's way through the cameras, in ``task_id`` or where they were seen last."""
    task = await visible_task_with(services, caller, global_id, task_id)
    answer = await person_details(services, task.task_id, global_id)
    await record(services, caller, "persons.read", global_id, {"task_id": task.task_id})
    return answer


@get(
    f"{API}/active",
    tags=["focus"],
    opt={"role": "viewer"},
    responses=documented(
        200, Page[ActiveTrack], EXAMPLE_ACTIVE, DatabaseUnavailableError, RedisUnavailableError
    ),
)
async def active(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> Page[ActiveTrack]:
    """Everyone in the newest set of every running task."""
    found = []
    for row in await services.store.active_tasks():
        if caller.may_see(row.environment_id):
            newest: Any = await services.redis.xrevrange(tracks_stream(row.task_id), count=1)
            updates = [msgspec.json.decode(f[b"json"], type=TrackingUpdate) for _, f in newest]
            persons = [person for update in updates for person in persons_of(update)]
            found += [ActiveTrack(row.task_id, row.environment_id, p) for p in persons]
    return Page(found, len(found), None, has_next=False)


async def follow(services: Services, caller: Caller, task_id: str, global_id: str) -> FocusView:
    """The caller follows a person of a task; PersonNotFoundError for one nobody knows."""
    person = (await person_details(services, task_id, global_id)).global_id
    focus = await services.hub.follow(task_id, viewer_of(caller.user_id), person)
    await record(services, caller, "persons.read", person, {"task_id": task_id, "why": "focus"})
    return _view(task_id, focus)


async def unfollow(services: Services, caller: Caller, task_id: str) -> FocusView:
    """The caller follows nobody in a task."""
    await services.hub.unfollow(task_id, viewer_of(caller.user_id))
    return _view(task_id, None)


def _view(task_id: str, focus: Focus | None) -> FocusView:
    if focus is None:
        return FocusView(task_id, None, is_active=False, since=None)
    return FocusView(task_id, focus.global_id, is_active=True, since=focus.since)


HANDLERS: list[ControllerRouterHandler] = [
    focus_on,
    current_focus,
    focus_off,
    follow_person,
    unfollow_person,
    details,
    active,
]

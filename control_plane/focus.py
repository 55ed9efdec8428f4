"""Following one person: ``/api/v1/tracking/…`` and ``/ws/focus/{task}``.

A viewer follows at most one person of a task; it is kept per user for a day, so it outlives
connections and holds in all of the user's views.
"""

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post, websocket
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, PathParameter
from litestar.types import ControllerRouterHandler
from redis.exceptions import RedisError

from control_plane.access import Caller, visible_task
from control_plane.audit import record
from control_plane.errors import PersonNotFoundError, TaskNotFoundError, documented
from control_plane.feeds import Feed
from control_plane.focus_state import Focus, clear_focus, read_focus, set_focus, viewer_of
from control_plane.live import Follow
from control_plane.outboxes import Outbox
from control_plane.pages import Page
from control_plane.person_details import (
    PersonDetails,
    person_details,
    sighting_in,
    task_of_person,
)
from control_plane.renderings import UpdateEntry
from control_plane.services import Services
from control_plane.sockets import (
    GONE,
    NOT_FOUND,
    TRY_AGAIN_LATER,
    Command,
    Plain,
    Socket,
    SocketSession,
    first_of,
)
from control_plane.tasks import EXAMPLE_ID, ActivePerson, TaskId, persons_of
from plugins.errors import DatabaseUnavailableError, RedisUnavailableError, UnavailableError
from plugins.messages import TrackingUpdate, tracks_stream

API = "/api/v1/tracking"
LOOK_S = 0.25
TELL_S = 1.0
READ_AGAIN_S = 5.0
HISTORY_KEPT = 120
PersonId = Annotated[str, PathParameter(description="global id", max_length=64)]


class FocusView(msgspec.Struct, frozen=True):
    """Whom the caller follows in a task; all null for nobody."""

    task_id: str
    focused_person_id: str | None
    is_active: bool
    since: datetime | None


class FocusUpdate(msgspec.Struct, frozen=True):
    """Payload of ``focus_update``. ``person_details`` is null when nobody is followed, and while
    the person is not known yet.
    """

    focused_person_id: str | None
    is_active: bool
    person_details: PersonDetails | None


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
    return await _follow(services, caller, task.task_id, data.person_id)


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
    return await _unfollow(services, caller, task.task_id)


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
    found = task_id or await task_of_person(services, global_id, caller.environments)
    task = await visible_task(services, caller, found)
    return await _follow(services, caller, task.task_id, global_id)


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
    found = task_id or await task_of_person(services, global_id, caller.environments)
    task = await visible_task(services, caller, found)
    focus = await read_focus(services.redis, task.task_id, viewer_of(caller.user_id))
    if focus is not None and focus.global_id != global_id.lower():
        return _view(task.task_id, focus)
    return await _unfollow(services, caller, task.task_id)


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
    found = task_id or await task_of_person(services, global_id, caller.environments)
    task = await visible_task(services, caller, found)
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


async def _follow(services: Services, caller: Caller, task_id: str, global_id: str) -> FocusView:
    person = (await person_details(services, task_id, global_id)).global_id
    viewer = viewer_of(caller.user_id)
    focus = await set_focus(services.redis, task_id, viewer, person)
    services.hub.set_focus(task_id, viewer, person)
    await record(services, caller, "persons.read", person, {"task_id": task_id, "why": "focus"})
    return _view(task_id, focus)


async def _unfollow(services: Services, caller: Caller, task_id: str) -> FocusView:
    viewer = viewer_of(caller.user_id)
    await clear_focus(services.redis, task_id, viewer)
    services.hub.set_focus(task_id, viewer, None)
    return _view(task_id, None)


def _view(task_id: str, focus: Focus | None) -> FocusView:
    if focus is None:
        return FocusView(task_id, None, is_active=False, since=None)
    return FocusView(task_id, focus.global_id, is_active=True, since=focus.since)


class FocusSession(SocketSession):
    """Tells whom the viewer follows: at once when that changes, and once a second what they do."""

    def __init__(self, socket: Socket, services: Services, task_id: str) -> None:
        super().__init__(socket, services, task_id, Outbox(1, 0))
        self.outbox.wants_data = False
        self._viewer = viewer_of(self.caller.user_id)
        self._told: str | None = None
        self._details: PersonDetails | None = None
        self._told_at = self._read_at = 0.0

    async def run(self) -> None:
        """Until the client leaves or the task ends."""
        await self._socket.accept()
        try:
            task = await visible_task(self._services, self.caller, self._name)
        except TaskNotFoundError as error:
            await self.refuse(error, NOT_FOUND)
            return
        except UnavailableError as error:
            await self.refuse(error, TRY_AGAIN_LATER)
            return
        self._name = task.task_id
        self.reply("connection_established", task)
        stays = self._socket.query_params.get("replay") in {"1", "true"}
        with self._services.hub.subscribed(
            "tracking", self._name, self.outbox, from_newest=False, stays=stays
        ) as feed:
            await first_of(super().run(), self._watch(feed))

    async def follow(self, message: Follow) -> None:
        """Follows a person; an unknown one is an ``error``."""
        await _follow(self._services, self.caller, self._name, message.person_id)

    async def unfollow(self, _message: Plain) -> None:
        """Follows nobody."""
        await _unfollow(self._services, self.caller, self._name)

    async def _watch(self, feed: Feed) -> None:
        with contextlib.suppress(RedisError):
            focus = await read_focus(self._services.redis, self._name, self._viewer)
            if focus is not None:
                self._services.hub.set_focus(self._name, self._viewer, focus.global_id)
        while True:
            followed = feed.focus.get(self._viewer)
            if followed != self._told or (followed and time.monotonic() - self._told_at > TELL_S):
                await self._tell(followed, feed)
            await asyncio.sleep(LOOK_S)

    async def _tell(self, followed: str | None, feed: Feed) -> None:
        is_change, self._told, self._told_at = followed != self._told, followed, time.monotonic()
        before = None if is_change else self._details
        self._details = await self._read(followed, before, feed) if followed else None
        if is_change or self._details != before:
            update = FocusUpdate(followed, followed is not None, self._details)
            self.reply("focus_update", update)

    async def _read(
        self, followed: str, before: PersonDetails | None, feed: Feed
    ) -> PersonDetails | None:
        """From the database every few seconds, in between with what the live sets add."""
        if before is None or time.monotonic() - self._read_at > READ_AGAIN_S:
            self._read_at = time.monotonic()
            with contextlib.suppress(PersonNotFoundError, UnavailableError, RedisError):
                return await person_details(self._services, self._name, followed)
            return before
        return _went_on(before, feed)


def _went_on(before: PersonDetails, feed: Feed) -> PersonDetails:
    newest = feed.newest
    if not isinstance(newest, UpdateEntry) or newest.is_replay:
        return before
    update = msgspec.json.decode(newest.raw, type=TrackingUpdate)
    sighting = sighting_in(update, before.global_id)
    if sighting is None:
        return msgspec.structs.replace(before, current_camera=None)
    if sighting.timestamp <= before.last_seen:
        return before
    return msgspec.structs.replace(
        before,
        last_seen=sighting.timestamp,
        tracking_duration=round((sighting.timestamp - before.first_detected).total_seconds(), 3),
        current_camera=sighting.camera,
        position_history=[*before.position_history, sighting][-HISTORY_KEPT:],
    )


FocusSession.commands = {
    "set_focus": Command(Follow, FocusSession.follow),
    "clear_focus": Command(Plain, FocusSession.unfollow),
    "ping": Command(Plain, FocusSession.pong),
}


@websocket("/ws/focus/{task_id:str}", opt={"role": "viewer"})
async def focus_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """``focus_update`` whenever the viewer follows somebody else, and once a second."""
    with contextlib.suppress(*GONE):
        await FocusSession(socket, services, task_id).run()


HANDLERS: list[ControllerRouterHandler] = [
    focus_on,
    current_focus,
    focus_off,
    follow_person,
    unfollow_person,
    details,
    active,
    focus_socket,
]

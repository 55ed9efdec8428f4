"""``/ws/focus/{task}``: whom the viewer follows, and what that person does."""

import asyncio
import contextlib
import time

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from redis.exceptions import RedisError

from control_plane.access.callers import visible_task
from control_plane.errors import PersonNotFoundError, TaskNotFoundError
from control_plane.focus import follow, unfollow
from control_plane.identity.person_details import PersonDetails, person_details, sighting_in
from control_plane.live import Follow
from control_plane.services import Services
from control_plane.streaming.feeds import Feed
from control_plane.streaming.focus_state import read_focus, viewer_of
from control_plane.streaming.renderings import UpdateEntry
from control_plane.streaming.sockets import (
    GONE,
    NOT_FOUND,
    TRY_AGAIN_LATER,
    AnsweringSession,
    Command,
    Plain,
    Socket,
    first_of,
)
from plugins.errors import UnavailableError
from plugins.messages import TrackingUpdate

LOOK_S = 0.25
TELL_S = 1.0
READ_AGAIN_S = 5.0
HISTORY_KEPT = 120


class FocusUpdate(msgspec.Struct, frozen=True):
    """Payload of ``focus_update``. ``person_details`` is null when nobody is followed, and while
    the person is not known yet.
    """

    focused_person_id: str | None
    is_active: bool
    person_details: PersonDetails | None


class FocusSession(AnsweringSession):
    """Tells whom the viewer follows: at once when that changes, and once a second what they do."""

    def __init__(self, socket: Socket, services: Services, task_id: str) -> None:
        super().__init__(socket, services, task_id)
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
        await follow(self._services, self.caller, self._name, message.person_id)

    async def unfollow(self, _message: Plain) -> None:
        """Follows nobody."""
        await unfollow(self._services, self.caller, self._name)

    async def _watch(self, feed: Feed) -> None:
        with contextlib.suppress(RedisError):
            focus = await read_focus(self._services.redis, self._name, self._viewer)
            if focus is not None:
                self._services.hub.show_focus(self._name, self._viewer, focus.global_id)
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


HANDLERS: list[ControllerRouterHandler] = [focus_socket]

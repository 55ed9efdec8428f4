"""The React frontend's WebSockets: docs/frontend.md.

``/ws/tracking/{task}?tab_id=…`` tells each camera of each set in a message of its own, once it was
asked to, and closes when another tab of the same viewer opens. ``/ws/focus/{task}?tab_id=…``
follows a person.
"""

import asyncio
import contextlib
import uuid

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from redis.exceptions import RedisError

from control_plane.dialect.messages import (
    PastSets,
    SetFocus,
    camera_messages,
    focus_payload,
    global_id_of,
)
from control_plane.focus_socket import FocusSession, FocusUpdate
from control_plane.live import Follow, Subscribe, TaskSession
from control_plane.services import Services
from control_plane.streaming.feeds import Feed
from control_plane.streaming.focus_state import KEPT_S
from control_plane.streaming.outboxes import Data
from control_plane.streaming.renderings import UpdateEntry
from control_plane.streaming.sockets import GONE, Command, Plain, Socket, first_of
from plugins.messages import PlaybackFrame, TrackingUpdate

TRACKING = "/ws/frontend/tracking/"
FOCUS = "/ws/frontend/focus/"
TAB_LOOK_S = 0.25
NEW_TAB = "New tab connected"


class TabSession(TaskSession):
    """One tab that watches a task. Of a viewer's tabs, on whatever replica, the newest stays."""

    def __init__(self, socket: Socket, services: Services, task_id: str) -> None:
        super().__init__(socket, services, "tracking", task_id)
        self.outbox.wants_data = False
        self._past = PastSets()
        self._tab = uuid.uuid4().hex
        self._is_announced = False

    async def run(self) -> None:
        """Until the client leaves, the task ends, or a newer tab is there."""
        await first_of(super().run(), self._give_way())

    async def subscribe(self, message: Subscribe) -> None:
        """Begins with the newest set, which may be all there is while the task is paused."""
        is_new = not self.outbox.wants_data
        await super().subscribe(message)
        if is_new and self._feed is not None:
            self._feed.add(self.outbox, from_newest=True)

    async def send_data(self, entry: Data) -> None:
        """One message for each camera of a set."""
        if not isinstance(entry, UpdateEntry):
            return
        if not entry.is_replay and entry.index <= self._last_index:
            return
        update = update_of(entry)
        self._past.add(update)
        focus_id = self._feed.focus.get(self._viewer) if self._feed else None
        for message in camera_messages(self._name, update, self._past, focus_id):
            await self.send(msgspec.json.encode(message).decode())
        self._sent.inc()
        self._last_index = self._last_index if entry.is_replay else entry.index

    async def _is_greeted(self) -> bool:
        """Greets, and from then on is the newest tab."""
        if not await super()._is_greeted():
            return False
        with contextlib.suppress(RedisError):
            await self._services.redis.set(self._tab_key(), self._tab, ex=KEPT_S)
        self._is_announced = True
        return True

    async def _give_way(self) -> None:
        while True:
            await asyncio.sleep(TAB_LOOK_S)
            if await self._is_superseded():
                self.outbox.wants_data = False
                self.outbox.forget_data()
                self.outbox.end(None, 1000, NEW_TAB)

    async def _is_superseded(self) -> bool:
        if not self._is_announced:
            return False
        try:
            newest = await self._services.redis.get(self._tab_key())
        except RedisError:
            return False
        return newest is not None and newest != self._tab.encode()

    def _tab_key(self) -> str:
        return f"spoton:task:{self._name}:tab:{self._viewer}"


TabSession.commands = {
    **TaskSession.commands,
    "subscribe_tracking": Command(Subscribe, TabSession.subscribe),
}


class TabFocusSession(FocusSession):
    """Follows a person for one tab."""

    def __init__(self, socket: Socket, services: Services, task_id: str) -> None:
        super().__init__(socket, services, task_id)
        self._feed: Feed | None = None

    def reply(self, kind: str, payload: object) -> None:
        """``focus_update`` in the frontend's words."""
        if isinstance(payload, FocusUpdate):
            payload = focus_payload(payload, newest_update(self._feed))
        super().reply(kind, payload)

    async def set_focus(self, message: SetFocus) -> None:
        """Follows whom the frontend means; an unknown person is an ``error``."""
        person = global_id_of(message, newest_update(self._feed))
        await self.follow(Follow(person))
        self._answer_again()

    async def clear(self, message: Plain) -> None:
        """Follows nobody."""
        await self.unfollow(message)
        self._answer_again()

    def _answer_again(self) -> None:
        self._told = ""  # differs from nobody (None) and from any person

    async def _watch(self, feed: Feed) -> None:
        self._feed = feed
        await super()._watch(feed)


TabFocusSession.commands = {
    **FocusSession.commands,
    "set_focus": Command(SetFocus, TabFocusSession.set_focus),
    "clear_focus": Command(Plain, TabFocusSession.clear),
}


def update_of(entry: UpdateEntry) -> TrackingUpdate:
    """The set of a live entry, or of a replay's."""
    if entry.is_replay:
        return msgspec.json.decode(entry.raw, type=PlaybackFrame).frame_data
    return msgspec.json.decode(entry.raw, type=TrackingUpdate)


def newest_update(feed: Feed | None) -> TrackingUpdate | None:
    """The newest live set."""
    newest = None if feed is None else feed.newest
    return update_of(newest) if isinstance(newest, UpdateEntry) else None


@websocket(f"{TRACKING}{{task_id:str}}", opt={"role": "viewer"})
async def tracking_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """``/ws/tracking/{task}`` of the frontend."""
    with contextlib.suppress(*GONE):
        await TabSession(socket, services, task_id).run()


@websocket(f"{FOCUS}{{task_id:str}}", opt={"role": "viewer"})
async def focus_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """``/ws/focus/{task}`` of the frontend."""
    with contextlib.suppress(*GONE):
        await TabFocusSession(socket, services, task_id).run()


HANDLERS: list[ControllerRouterHandler] = [tracking_socket, focus_socket]

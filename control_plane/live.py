"""``/ws/tracking/{task}`` and ``/ws/frames/{task}``: what happens now, to any number of browsers.

Server to client: ``connection_established``, ``tracking_update`` (or, on frames, binary sets),
``status_update`` about once a second, ``pong``, ``error``. Client to server: the types in
``COMMANDS``. Close codes: 1000 the task has ended, 1013 try again later, 4404 no such task.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from control_plane.errors import REDIS_AWAY, TaskNotFoundError
from control_plane.feeds import (
    STREAMS,
    Closing,
    Entry,
    Feed,
    Kind,
    Outbox,
    envelope,
    error_message,
)
from control_plane.services import Services
from plugins.errors import UnavailableError

SEND_TIMEOUT_S = 30.0
NO_SUCH_TASK = 4404
TRY_AGAIN_LATER = 1013
Socket = WebSocket[Any, Any, Any]
GONE = (WebSocketDisconnect, OSError)


class Command(msgspec.Struct, frozen=True):
    """What a client may say; other members are ignored."""

    type: str


class Session:
    """One client of one task."""

    def __init__(self, socket: Socket, services: Services, kind: Kind, task_id: str) -> None:
        self._socket, self._services = socket, services
        self._kind, self._task_id = kind, task_id
        self._outbox = Outbox(STREAMS[kind].kept, STREAMS[kind].max_bytes)
        self._sent = services.metrics.messages.labels(kind)

    async def run(self) -> None:
        """Serves the client until it leaves, is told that the task has ended, or stops reading."""
        await self._socket.accept()
        if not await self._is_greeted():
            return
        since = self._since()
        with self._services.hub.subscribed(
            self._kind, self._task_id, self._outbox, from_newest=since is None
        ) as feed:
            await _first_of(self._send_all(feed, since), self._receive_all())

    async def _is_greeted(self) -> bool:
        try:
            view = await self._services.read_task(self._task_id)
        except (TaskNotFoundError, UnavailableError) as error:
            await self._send(error_message(self._task_id, error.code, str(error)))
            is_unknown = isinstance(error, TaskNotFoundError)
            await self._socket.close(NO_SUCH_TASK if is_unknown else TRY_AGAIN_LATER, error.code)
            return False
        self._task_id = view.task_id  # the client may have written it in capitals
        await self._send(envelope("connection_established", self._task_id, view))
        return True

    def _since(self) -> int | None:
        text = self._socket.query_params.get("since")
        if text is None:
            return None
        try:
            return max(int(text), -1)
        except ValueError:
            message = f"since={text!r} is not a frame index; going on with what is new"
            self._reply_error("invalid_since", message)
            return None

    def _reply_error(self, code: str, message: str) -> None:
        self._outbox.reply(error_message(self._task_id, code, message))

    async def _send_all(self, feed: Feed, since: int | None) -> None:
        last = -1 if since is None else await self._replay(feed, since)
        while True:
            item = await self._outbox.get()
            if isinstance(item, Closing):
                await self._socket.close(item.code, item.reason)
                return
            if isinstance(item, str):
                await self._send(item)
            elif item.index > last:
                last = item.index
                await self._send(item.data)

    async def _replay(self, feed: Feed, last: int) -> int:
        entries: list[Entry] = [Entry(last, b"")]
        while entries:
            try:
                entries = await feed.replay(last)
            except REDIS_AWAY:
                break  # the feed announces it, and goes on with what is new
            for entry in entries:
                await self._send(entry.data)
                last = entry.index
        return last

    async def _send(self, data: str | bytes) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            if isinstance(data, str):
                await self._socket.send_data(data, mode="text")
            else:
                await self._socket.send_data(data, mode="binary")
        self._sent.inc()

    async def _receive_all(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if event["type"] == "websocket.receive":
                await self._obey(event.get("text") or event.get("bytes") or b"")

    async def _obey(self, message: str | bytes) -> None:
        try:
            command = msgspec.json.decode(message, type=Command).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            expected = 'send a JSON object such as {"type": "ping"}'
            self._reply_error("invalid_message", expected)
            return
        action = COMMANDS.get(command)
        if action is None:
            known = ", ".join(COMMANDS)
            self._reply_error("unknown_message", f"no message {command[:80]!r}; known: {known}")
            return
        await action(self)

    async def subscribe(self) -> None:
        """Says everything from now on, as it does at first."""
        self._outbox.wants_data = True

    async def unsubscribe(self) -> None:
        """Says nothing but answers and status."""
        self._outbox.wants_data = False
        self._outbox.forget_data()

    async def report_status(self) -> None:
        """Answers with the task's state."""
        try:
            view = await self._services.read_task(self._task_id)
        except (TaskNotFoundError, UnavailableError) as error:
            self._reply_error(error.code, str(error))
        else:
            self._outbox.reply(envelope("status_update", self._task_id, view))

    async def pong(self) -> None:
        """Answers a ping."""
        self._outbox.reply(envelope("pong", self._task_id, {}))


COMMANDS: dict[str, Callable[[Session], Awaitable[None]]] = {
    "subscribe_tracking": Session.subscribe,
    "unsubscribe_tracking": Session.unsubscribe,
    "request_status": Session.report_status,
    "ping": Session.pong,
}


async def _first_of(*coroutines: Awaitable[None]) -> None:
    """Runs all until one ends, then ends the others; a client that left is no error."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, GONE):
            raise result


async def _serve(socket: Socket, services: Services, kind: Kind, task_id: str) -> None:
    with contextlib.suppress(*GONE):
        await Session(socket, services, kind, task_id).run()


@websocket("/ws/tracking/{task_id:str}")
async def tracking_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """Every synchronised set's identities and floor positions, as JSON."""
    await _serve(socket, services, "tracking", task_id)


@websocket("/ws/frames/{task_id:str}")
async def frames_socket(
    socket: Socket, services: NamedDependency[Services], task_id: FromPath[str]
) -> None:
    """Every synchronised set's pictures, as the binary messages of ``plugins.wire``."""
    await _serve(socket, services, "frames", task_id)


HANDLERS: list[ControllerRouterHandler] = [tracking_socket, frames_socket]

"""What all WebSockets share: an outbox that is sent, and messages that are obeyed.

A message that cannot be understood is answered with an ``error``, and the connection stays. Who may
connect, and that a token's end is the connection's end, is the business of ``socket_access``.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from control_plane.access.callers import Caller
from control_plane.cancelling import end_all
from control_plane.errors import REDIS_AWAY, redis_away_message
from control_plane.services import Services
from control_plane.streaming.outboxes import Closing, Data, Outbox
from control_plane.streaming.renderings import envelope, error_message
from plugins.errors import SpotOnError

MAX_COMMAND_BYTES = 64 * 1024
FORBIDDEN, NOT_FOUND, TRY_AGAIN_LATER = 4403, 4404, 1013
GONE = (WebSocketDisconnect, OSError)
Socket = WebSocket[Any, Any, Any]


class Plain(msgspec.Struct, frozen=True):
    """A message of which only the type matters; every message has one."""

    type: str


@dataclass(frozen=True, slots=True)
class Command:
    """A message a client may send: its shape, what it does, and the least role it needs."""

    shape: type[Any]
    act: Callable[[Any, Any], Awaitable[None]]
    role: str = "viewer"


class SocketSession(ABC):
    """One client of one channel; channels say what they send and which commands they obey."""

    commands: Mapping[str, Command]

    def __init__(self, socket: Socket, services: Services, name: str, outbox: Outbox) -> None:
        self.caller: Caller = socket.scope["user"]
        self._socket, self._services, self._name = socket, services, name
        self.outbox = outbox

    async def run(self) -> None:
        """Sends and obeys until the client leaves, or the outbox says to close."""
        await first_of(self._send_all(), self._receive_all())

    async def refuse(self, error: SpotOnError, code: int) -> None:
        """Says why, and closes."""
        await self.send(error_message(self._name, error.code, str(error)))
        await self._socket.close(code, error.code)

    async def send(self, data: str | bytes) -> None:
        """One message; TimeoutError for a client that has stopped reading (``live_protocol``)."""
        kind = "text" if isinstance(data, str) else "bytes"
        message: Any = {"type": "websocket.send", kind: data}
        await self._socket.send(message)

    @abstractmethod
    async def send_data(self, entry: Data) -> None:
        """One entry of a stream, as this client wants it."""

    def reply(self, kind: str, payload: object) -> None:
        """Queues a message ahead of all data."""
        self.outbox.reply(envelope(kind, self._name, payload))

    def reply_error(self, code: str, message: str) -> None:
        """Queues an ``error``."""
        self.outbox.reply(error_message(self._name, code, message))

    async def pong(self, _message: object) -> None:
        """Answers a ping."""
        self.reply("pong", {})

    async def _send_all(self) -> None:
        while True:
            item = await self.outbox.get()
            if isinstance(item, Closing):
                await self._socket.close(item.code, item.reason)
                return
            await (self.send(item) if isinstance(item, str) else self.send_data(item))

    async def _receive_all(self) -> None:
        while True:
            event: Any = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if event["type"] == "websocket.receive":
                await self._hear(event.get("text") or event.get("bytes") or b"")

    async def _hear(self, message: str | bytes) -> None:
        if len(message) > MAX_COMMAND_BYTES:
            self.reply_error(
                "message_too_large",
                f"{len(message)} bytes; a message may have {MAX_COMMAND_BYTES}: send less",
            )
            return
        try:
            kind = msgspec.json.decode(message, type=Plain).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.reply_error("invalid_message", 'send a JSON object such as {"type": "ping"}')
            return
        command = self.commands.get(kind)
        if command is None:
            known = ", ".join(self.commands)
            self.reply_error("unknown_message", f"no message {kind[:80]!r}; known: {known}")
            return
        await self._obey(command, kind, message)

    async def _obey(self, command: Command, kind: str, message: str | bytes) -> None:
        if not self.caller.has_role(command.role):
            self.reply_error(
                "not_allowed", f"{kind} is for the role {command.role}; yours is {self.caller.role}"
            )
            return
        try:
            await command.act(self, msgspec.json.decode(message, type=command.shape))
        except msgspec.DecodeError as error:
            self.reply_error("invalid_message", f"{kind}: {error}; correct it and send it again")
        except SpotOnError as error:
            self.reply_error(error.code, str(error))
        except REDIS_AWAY as error:
            self.reply_error("redis_unavailable", redis_away_message(error))


class AnsweringSession(SocketSession):
    """One client of a channel that has messages alone, no stream."""

    def __init__(self, socket: Socket, services: Services, name: str) -> None:
        super().__init__(socket, services, name, Outbox(1, 0))
        self.outbox.wants_data = False

    async def send_data(self, _entry: Data) -> None:
        """Never called: the outbox takes no data."""


async def first_of(*coroutines: Awaitable[None]) -> None:
    """Runs all until one ends, then ends the others; a client that left is no error."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_all(tasks)
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, (*GONE, TimeoutError)):
            raise result

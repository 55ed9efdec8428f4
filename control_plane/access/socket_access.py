"""WebSockets that say why they are refused; they, and streams of pictures, end with the token, and
with the login, whichever replica ends it.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.access.callers import NOT_AUTHENTICATED, TRY_AGAIN_LATER, Caller
from control_plane.access.logins import Logins
from plugins.errors import DatabaseUnavailableError

CHECK_EVERY_S = 0.5
Closing = tuple[int, str]
EXPIRED: Closing = (NOT_AUTHENTICATED, "the token has expired")
LOGGED_OUT: Closing = (NOT_AUTHENTICATED, "this login has ended")
CHANGED: Closing = (TRY_AGAIN_LATER, "what this user may do has changed: connect again")
# Endless answers; others, such as a long download, are finished although the token expires.
STREAMS = "/api/v1/stream/"
HTTP_END: Any = {"type": "http.response.body", "body": b"", "more_body": False}
HTTP_DISCONNECTED: Any = {"type": "http.disconnect"}
DISCONNECTED: Any = {"type": "websocket.disconnect", "code": NOT_AUTHENTICATED}


def stays_open(handler: object) -> bool:
    """Whether a handler's answers have no end of their own: those need ``make_accountable``."""
    is_stream = any(path.startswith(STREAMS) for path in getattr(handler, "paths", ()))
    return is_stream or isinstance(handler, WebsocketRouteHandler)


def make_accountable(logins: Logins) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware of all that stays open."""
    opened = OpenConnections(logins)

    def accountable_sockets(app: ASGIApp) -> ASGIApp:
        async def accountable(scope: Scope, receive: Receive, send: Send) -> None:
            is_socket = scope["type"] == ScopeType.WEBSOCKET
            kind = AccountableSocket if is_socket else AccountableStream
            connection: Connection = kind(scope, receive, send, opened)
            try:
                await app(scope, connection.receive, connection.send)
            finally:
                opened.discard(connection)

        return accountable

    return accountable_sockets


class OpenConnections:
    """What this process holds open of logged-in callers.

    While there is anything, all their logins are looked up twice a second, in one round trip.
    """

    def __init__(self, logins: Logins) -> None:
        self._logins = logins
        self._open: set[Connection] = set()
        self._watch: asyncio.Task[None] | None = None

    def add(self, connection: "Connection") -> None:
        """Watches over a connection whose caller is known by now; callers without a login pass."""
        if connection.caller is None or connection.caller.session_id is None:
            return
        self._open.add(connection)
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_all())

    def discard(self, connection: "Connection") -> None:
        """It is closed."""
        self._open.discard(connection)

    async def _watch_all(self) -> None:
        try:
            while self._open:
                await asyncio.sleep(CHECK_EVERY_S)
                await asyncio.gather(*map(self._check, list(self._open)))
        finally:
            self._watch = None

    async def _check(self, connection: "Connection") -> None:
        caller = connection.caller
        if caller is None or caller.session_id is None:
            return
        try:
            login = await self._logins.find(caller.session_id)
        except DatabaseUnavailableError:  # nobody can say; the token's end stays the last one
            return
        if login is None:
            connection.end(LOGGED_OUT)
        elif (login.role, login.environments) != (caller.role, caller.environments):
            connection.end(CHANGED)


class Connection(ABC):
    """Something that stays open, between the server and the handler."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, opened: OpenConnections) -> None:
        self._scope, self._receive, self._send, self._opened = scope, receive, send, opened
        self._closing: Closing = EXPIRED
        self._is_ended = False
        self._patience: asyncio.Timeout | None = None

    @abstractmethod
    async def receive(self) -> Any:
        """The next message from the client."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """A message of the handler's."""

    @property
    def caller(self) -> Caller | None:
        """Whose it is; None before the guard knows."""
        caller = self._scope.get("user")
        return caller if isinstance(caller, Caller) else None

    def end(self, closing: Closing) -> None:
        """Closes it now, as the end of its token would."""
        self._is_ended, self._closing = True, closing
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _seconds_left(self) -> float | None:
        """None for ever."""
        if self._is_ended:
            return 0.0
        expires_at = self.caller.expires_at if self.caller else None
        return None if expires_at is None else expires_at - time.time()

    async def _received_in_time(self) -> Any:
        """The next message; TimeoutError at the end."""
        try:
            async with asyncio.timeout(self._seconds_left()) as self._patience:
                return await self._receive()
        finally:
            self._patience = None


class AccountableStream(Connection):
    """An endless HTTP answer."""

    _has_begun = _is_over = False

    async def send(self, message: Message) -> None:
        """Passes on what comes before the end."""
        if self._is_over:
            return
        if not self._has_begun:
            self._has_begun = True
            self._opened.add(self)
        await self._send(message)

    async def receive(self) -> Any:
        """The next message; at the end the client counts as gone."""
        try:
            return await self._received_in_time()
        except TimeoutError:
            if self._has_begun and not self._is_over:
                self._is_over = True
                await self._send(HTTP_END)
            return HTTP_DISCONNECTED


class AccountableSocket(Connection):
    """One WebSocket."""

    _is_accepted = _is_closed = False

    async def send(self, message: Message) -> None:
        """Passes on; a close before the accept is one after it, since only then a browser learns
        the code. Whatever follows the end is WebSocketDisconnect, as if the client left.
        """
        if message["type"] == "websocket.close":
            await self._close(message)
            return
        left_s = self._seconds_left()
        if self._is_closed or (left_s is not None and left_s <= 0):
            await self._close(self._last_message())
            raise WebSocketDisconnect(detail=self._closing[1], code=self._closing[0])
        if message["type"] == "websocket.accept":
            self._is_accepted = True
            self._opened.add(self)
            message["subprotocol"] = message.get("subprotocol") or self._subprotocol()
        await self._send(message)

    async def receive(self) -> Any:
        """The next message, or the end as if the client had left."""
        if not self._is_accepted:
            return await self._receive()
        try:
            return await self._received_in_time()
        except TimeoutError:
            await self._close(self._last_message())
            return DISCONNECTED

    def _last_message(self) -> Any:
        code, reason = self._closing
        return {"type": "websocket.close", "code": code, "reason": reason}

    async def _close(self, message: Message) -> None:
        if self._is_closed:
            return
        if not self._is_accepted:
            self._is_accepted = True
            accept: Any = {
                "type": "websocket.accept",
                "subprotocol": self._subprotocol(),
                "headers": [],
            }
            await self._send(accept)
        self._is_closed = True
        await self._send(message)

    def _subprotocol(self) -> str | None:
        offered: Any = self._scope.get("subprotocols") or []
        return "bearer" if "bearer" in offered else None

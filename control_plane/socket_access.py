"""WebSockets that say why they are refused; they, and streams of pictures, end with the token."""

import asyncio
import time
from typing import Any

from litestar.enums import ScopeType
from litestar.exceptions import WebSocketDisconnect
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.access import NOT_AUTHENTICATED, Caller

EXPIRED: Any = {
    "type": "websocket.close",
    "code": NOT_AUTHENTICATED,
    "reason": "the token has expired",
}
# Endless answers; others, such as a long download, are finished although the token expires.
STREAMS = "/api/v1/stream/"
HTTP_END: Any = {"type": "http.response.body", "body": b"", "more_body": False}
HTTP_DISCONNECTED: Any = {"type": "http.disconnect"}
DISCONNECTED: Any = {"type": "websocket.disconnect", "code": NOT_AUTHENTICATED}


def accountable_sockets(app: ASGIApp) -> ASGIApp:
    """Middleware of all that stays open; it leaves other requests as they are."""

    async def accountable(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            socket = AccountableSocket(scope, receive, send)
            await app(scope, socket.receive, socket.send)
        elif scope["path"].startswith(STREAMS):
            stream = AccountableStream(scope, receive, send)
            await app(scope, stream.receive, stream.send)
        else:
            await app(scope, receive, send)

    return accountable


def seconds_left(scope: Scope) -> float | None:
    """Until the caller's token expires; None for never, or before the guard knows the caller."""
    caller = scope.get("user")
    if not isinstance(caller, Caller) or caller.expires_at is None:
        return None
    return caller.expires_at - time.time()


class AccountableStream:
    """An endless HTTP answer, between the server and the handler."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._has_begun = self._has_ended = False

    async def send(self, message: Message) -> None:
        """Passes on what comes before the end."""
        if not self._has_ended:
            self._has_begun = True
            await self._send(message)

    async def receive(self) -> Any:
        """The next message; at the end of the token the client counts as gone."""
        try:
            async with asyncio.timeout(seconds_left(self._scope)):
                return await self._receive()
        except TimeoutError:
            if self._has_begun:
                self._has_ended = True
                await self._send(HTTP_END)
            return HTTP_DISCONNECTED


class AccountableSocket:
    """One connection, between the server and the handler."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._is_accepted = self._is_closed = False

    async def send(self, message: Message) -> None:
        """Passes on; a close before the accept is one after it, since only then a browser learns
        the code. Whatever follows an expired token is WebSocketDisconnect, as if the client left.
        """
        if message["type"] == "websocket.close":
            await self._close(message)
            return
        left_s = seconds_left(self._scope)
        if self._is_closed or (left_s is not None and left_s <= 0):
            await self._close(EXPIRED)
            raise WebSocketDisconnect(detail="the token has expired", code=NOT_AUTHENTICATED)
        if message["type"] == "websocket.accept":
            self._is_accepted = True
            message["subprotocol"] = message.get("subprotocol") or self._subprotocol()
        await self._send(message)

    async def receive(self) -> Any:
        """The next message, or the end of the token as if the client had left."""
        if not self._is_accepted:
            return await self._receive()
        try:
            async with asyncio.timeout(seconds_left(self._scope)):
                return await self._receive()
        except TimeoutError:
            await self._close(EXPIRED)
            return DISCONNECTED

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

"""uvicorn's WebSocket, with four differences that bound what a client costs."""

import asyncio
import struct
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

SEND_TIMEOUT_S = 30.0
WHOLE_BINARY = 0x82  # RFC 6455, section 5.2: the last frame of its message, binary


class LiveProtocol(WebSocketsSansIOProtocol):
    """One client's connection."""

    def handle_connect(self, event: Any) -> None:
        """JPEGs do not shrink: deflating them for every client would only burn processor time."""
        if event.path.startswith("/ws/frames/"):
            self.conn.available_extensions = []
        super().handle_connect(event)

    def keepalive_timeout(self) -> None:
        """A client that does not even answer pings gets no more patience for what is buffered."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """A set of pictures goes out as it is, one object for all clients, where the library would
        copy it twice for each of them. A client that takes nothing for SEND_TIMEOUT_S is given up:
        TimeoutError.
        """
        if not self.writable.is_set():
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.writable.wait()
        data = message.get("bytes")
        if data is None or self.conn.extensions or not self._is_open():
            await super().send(message)
        else:
            self.transport.writelines((binary_header(len(data)), data))

    def _is_open(self) -> bool:
        return not self.disconnected and self.conn.state is State.OPEN


def binary_header(length: int) -> bytes:
    """What precedes an unmasked message of so many bytes: RFC 6455, section 5.2."""
    if length < 126:
        return struct.pack("!BB", WHOLE_BINARY, length)
    if length < 2**16:
        return struct.pack("!BBH", WHOLE_BINARY, 126, length)
    return struct.pack("!BBQ", WHOLE_BINARY, 127, length)

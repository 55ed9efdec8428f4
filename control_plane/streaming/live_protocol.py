"""uvicorn's WebSocket, with differences that bound what a client costs."""

import asyncio
import logging
import struct
import zlib
from functools import lru_cache
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.protocol import State

SEND_TIMEOUT_S = 30.0
# RFC 6455, section 5.2: the last frame of its message; RFC 7692: one that is deflated.
TEXT, BINARY, DEFLATED = 0x81, 0x82, 0x40
FRAMES_KEPT = 32
# Each message is deflated on its own, so that what many clients are sent is deflated once.
DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_max_window_bits=12)


class LiveProtocol(WebSocketsSansIOProtocol):
    """One client's connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What both say of a connection holds its address and headers, and so its token: they get a
        # logger of their own, of which ``logs.py`` lets only warnings through.
        self.logger = self.conn.logger = logging.getLogger("uvicorn.error.sockets")

    def handle_connect(self, event: Any) -> None:
        """JPEGs do not shrink: deflating them for every client would only burn processor time."""
        is_pictures = event.path.startswith("/ws/frames/")
        self.conn.available_extensions = [] if is_pictures else [DEFLATE]
        super().handle_connect(event)

    def keepalive_timeout(self) -> None:
        """A client that does not even answer pings gets no more patience for what is buffered."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """Messages go out as they are, one object for all clients, where the library would deflate
        or copy them for each. A client that takes nothing for SEND_TIMEOUT_S is given up:
        TimeoutError.
        """
        if not self.writable.is_set():
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.writable.wait()
        if message["type"] != "websocket.send" or not self._is_open():
            await super().send(message)
        elif (text := message.get("text")) is not None:
            self.transport.write(text_frame(text, self._window_bits()))
        else:
            data = message["bytes"]
            self.transport.writelines((frame_header(BINARY, len(data)), data))

    def _is_open(self) -> bool:
        return not self.disconnected and self.conn.state is State.OPEN

    def _window_bits(self) -> int | None:
        """How much history the client inflates with; None where it does not."""
        deflate: Any = next(iter(self.conn.extensions), None)
        return None if deflate is None else int(deflate.local_max_window_bits)


@lru_cache(FRAMES_KEPT)
def text_frame(text: str, window_bits: int | None) -> bytes:
    """A whole message, deflated on its own where a window is given: RFC 7692, section 7.2.1."""
    data = text.encode()
    if window_bits is None:
        return frame_header(TEXT, len(data)) + data
    deflate = zlib.compressobj(wbits=-window_bits)
    data = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    return frame_header(TEXT | DEFLATED, len(data)) + data


def frame_header(first: int, length: int) -> bytes:
    """What precedes an unmasked message of so many bytes: RFC 6455, section 5.2."""
    if length < 126:
        return struct.pack("!BB", first, length)
    if length < 2**16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)

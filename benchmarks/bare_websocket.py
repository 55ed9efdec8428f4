"""The least a server on our WebSocket library can do: read sets from a socket, send them to all."""

import asyncio
import struct
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class PlainProtocol(WebSocketsSansIOProtocol):
    """Pictures do not shrink: without deflate, as our own server sends them."""

    def handle_connect(self, event: Any) -> None:
        """Offers no extension."""
        self.conn.available_extensions = []
        super().handle_connect(event)


def serve_bare(port: int, source_port: int) -> None:
    """Until it is terminated: uvicorn on ``port``, length-prefixed sets in on ``source_port``."""
    queues: set[asyncio.Queue[bytes]] = set()

    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("<I", await reader.readexactly(4))
            message = await reader.readexactly(length)
            for queue in queues:
                queue.put_nowait(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            source = await asyncio.start_server(read, "127.0.0.1", source_port, limit=2**22)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            source.close()
            return
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        while True:
            await send({"type": "websocket.send", "bytes": await queue.get()})

    uvicorn.run(app, port=port, ws=PlainProtocol, log_level="critical")

"""A line to PostgreSQL or Redis that can be cut in the middle of a question."""

import contextlib
import socket
import threading
from typing import Self

_BUFFER = 64 * 1024


class CutLine:
    """Listens on ``port`` of 127.0.0.1 and passes bytes on to ``target``, a TCP address or the
    path of a Unix socket. While ``is_cut``, whoever asks anything is hung up on: the question
    has left, and no answer comes.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self.is_cut = False
        self._target = target
        self._opened: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        for opened in (self._listener, *self._opened):
            _hang_up(opened)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                self._opened += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _connected(self) -> socket.socket:
        if not isinstance(self._target, str):
            return socket.create_connection(self._target)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        return server

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (content := source.recv(_BUFFER)) and not self.is_cut:
                sink.sendall(content)
        _hang_up(source)
        _hang_up(sink)


def _hang_up(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()

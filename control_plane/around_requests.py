"""What surrounds every request: its id in each line of the log and in the answer, headers that
protect, and a count. One wrapper and one hook for all of it, since every request pays for each.
"""

import time
from collections.abc import Awaitable, Callable

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from control_plane.access.security import protecting_headers
from control_plane.errors import request_id_of
from control_plane.health.metrics import Metrics

BEGAN = "spoton_began"
DONE = "spoton_done"


def begin_request(app: ASGIApp) -> ASGIApp:
    """Middleware that notes when a request came in, and names it in the log of its own task."""

    async def begun(scope: Scope, receive: Receive, send: Send) -> None:
        scope[BEGAN] = time.perf_counter()  # type: ignore[literal-required]
        bind_contextvars(request_id=request_id_of(scope))
        await app(scope, receive, send)

    return begun


def make_finish(metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """The hook before an answer is sent, whichever layer gave it, those of unknown routes too."""

    async def finish(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start" or scope.get(DONE):
            return
        scope[DONE] = True  # type: ignore[literal-required]
        headers = [*message["headers"], (b"x-request-id", request_id_of(scope).encode())]
        began = scope.get(BEGAN)
        seconds = time.perf_counter() - began if isinstance(began, float) else None
        if seconds is not None:
            headers.append((b"server-timing", b"app;dur=%.1f" % (seconds * 1000)))
        message["headers"] = [*headers, *protecting_headers(scope, headers)]
        metrics.count_answer(scope, message["status"], seconds)

    return finish

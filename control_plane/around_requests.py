"""What surrounds every request: its id in each line of the log and in the answer, headers that
protect, a count, the dialect it speaks. One step for all of it, since every request pays for each.
"""

import time

from litestar.enums import ScopeType
from litestar.middleware._internal.cors import CORSMiddleware  # public nowhere
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from control_plane.access.security import protecting_headers
from control_plane.dialect.routes import choose_dialect
from control_plane.errors import request_id_of
from control_plane.health.metrics import Metrics


def around_requests(app: ASGIApp, metrics: Metrics) -> ASGIApp:
    """Litestar's whole ``asgi_handler``, surrounded: its answers are complete whichever layer gave
    them, those of unknown routes too.
    """
    # Litestar's outermost layer as a rule: it reads all headers, and only pages send an origin.
    without_cors = app.app if isinstance(app, CORSMiddleware) else app

    async def surrounded(scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        choose_dialect(scope)
        request_id = request_id_of(scope)
        bind_contextvars(request_id=request_id)

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                headers = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"server-timing", b"app;dur=%.1f" % (seconds * 1000)),
                ]
                message["headers"] = [*headers, *protecting_headers(scope, headers)]
                metrics.count_answer(scope, message["status"], seconds)
            await send(message)

        is_page = any(name == b"origin" for name, _ in scope["headers"])
        finishing = finish if scope["type"] == ScopeType.HTTP else send
        await (app if is_page else without_cors)(scope, receive, finishing)

    return surrounded

"""Which requests are the existing React frontend's.

Most of its paths are its own. Some are the product's too; there ``choose_dialect`` knows the
frontend by what it sends, and hands its requests to handlers at paths of their own.
"""

from urllib.parse import parse_qs

from litestar.enums import ScopeType
from litestar.types import ControllerRouterHandler, Scope
from litestar.utils import normalize_path

from control_plane.dialect import (
    dashboard,
    live_figures,
    persons,
    playback,
    sockets,
    tasks,
    viewers,
)
from control_plane.dialect.dashboard import ANALYTICS, FRONTEND

SOCKETS = {
    "/ws/tracking/": sockets.TRACKING,
    "/ws/focus/": sockets.FOCUS,
}
FIGURES = frozenset(
    f"{ANALYTICS}/{name}"
    for name in (
        "dashboard",
        "real-time/metrics",
        "real-time/active-persons",
        "real-time/camera-loads",
    )
)
FRONTENDS_FILTERS = {"window_hours", "uptime_days"}
PRODUCTS_FILTERS = {"start_time", "end_time"}


def choose_dialect(scope: Scope) -> None:
    """Before routing: sends what the frontend asks of a shared path to a path of its own."""
    path = frontends_path(scope)
    if path is not None:
        scope["path"] = path
        scope["raw_path"] = path.encode()


def frontends_path(scope: Scope) -> str | None:
    """Where the frontend's handler of a shared path is; None where the product's is meant."""
    path = normalize_path(scope["path"])
    if scope["type"] == ScopeType.WEBSOCKET:
        if "tab_id" not in _names_in(scope):
            return None
        found = (new + path.removeprefix(old) for old, new in SOCKETS.items() if old in path)
        return next(found, None)
    if path not in FIGURES or not _is_frontends(scope, _names_in(scope)):
        return None
    return f"{FRONTEND}/{path.removeprefix(ANALYTICS + '/')}"


def _names_in(scope: Scope) -> set[str]:
    return set(parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _is_frontends(scope: Scope, query: set[str]) -> bool:
    """The frontend sends no token, and never the product's filters."""
    has_token = any(name == b"authorization" for name, _ in scope["headers"])
    return bool(query & FRONTENDS_FILTERS) or not (has_token or query & PRODUCTS_FILTERS)


HANDLERS: list[ControllerRouterHandler] = [
    *tasks.HANDLERS,
    *playback.HANDLERS,
    *viewers.HANDLERS,
    *persons.HANDLERS,
    *dashboard.HANDLERS,
    *live_figures.HANDLERS,
    *sockets.HANDLERS,
]

"""The control plane, put together: handlers, errors, documentation, and the server that runs it."""

import errno
import gc
import resource
import socket
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from control_plane import (
    analytics_live,
    analytics_places,
    audit,
    auth,
    camera_status,
    cameras,
    channels,
    controls,
    environments,
    export_jobs,
    export_requests,
    feedback,
    focus,
    focus_socket,
    live,
    media,
    persons,
    persons_by_picture,
    persons_edited,
    sessions,
    system,
    tasks,
    users,
    zones,
)
from control_plane.access.callers import OPEN, Caller, is_open, make_guard, provide_caller
from control_plane.access.first_admin import ensure_first_admin
from control_plane.access.security import ReadableRequest
from control_plane.access.socket_access import make_accountable, stays_open
from control_plane.around_requests import around_requests
from control_plane.dialect import routes as frontend
from control_plane.errors import (
    NotAllowedError,
    NotAuthenticatedError,
    TooManyRequestsError,
    answer_error,
    refusals,
)
from control_plane.exports.runner import ExportRunner
from control_plane.health import performance
from control_plane.health.probes import Probe
from control_plane.recordings import ReadRecordings
from control_plane.services import Services, make_services
from control_plane.settings import Settings
from control_plane.storage import retention, upkeep
from control_plane.streaming.live_protocol import LiveProtocol
from homography.environment import Catalogue
from plugins.errors import DatabaseUnavailableError, InvalidInputError, PortInUseError

log = structlog.get_logger()
PAGE_FOLDER = Path(__file__).parent / "live_page"
RESOURCES = (
    system,
    camera_status,
    auth,
    users,
    audit,
    environments,
    cameras,
    zones,
    sessions,
    retention,
    tasks,
    live,
    persons,
    persons_edited,
    persons_by_picture,
    analytics_places,
    analytics_live,
    upkeep,
    export_requests,
    export_jobs,
    feedback,
    controls,
    focus,
    focus_socket,
    media,
    performance,
    channels,
    frontend,
)
# What reading a request may answer, and what the guard may.
UNREADABLE = refusals(InvalidInputError)
REFUSALS = UNREADABLE | refusals(
    NotAuthenticatedError, NotAllowedError, TooManyRequestsError, DatabaseUnavailableError
)
MAX_BODY_BYTES = 1024**2
# Far more than any command has, so that one that is too large can be answered with an error.
MAX_MESSAGE_BYTES = 16 * 1024**2
# What the kernel may hold for one client: more would only make its pictures older.
SEND_BUFFER_BYTES = 256 * 1024
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
DESCRIPTION = """Multi-camera person tracking. Start a task, then follow `/ws/tracking/{task_id}`
(JSON) and `/ws/frames/{task_id}` (binary sets of pictures)."""


def create_app(
    settings: Settings,
    catalogue: Catalogue,
    *,
    probes: Mapping[str, Probe] | None = None,
    read_recordings: ReadRecordings | None = None,
) -> Litestar:
    """The application; connects to nothing until it is started, and starts without its services.

    ``probes`` (per component of /health) and ``read_recordings`` replace the real ones.
    """
    services = make_services(settings, catalogue, probes, read_recordings)
    keeper = upkeep.Upkeep(services)
    exporter = ExportRunner(services)

    async def open_store() -> None:
        try:
            await services.store.open()
            await ensure_first_admin(services.store, services.passwords, settings)
        except DatabaseUnavailableError as error:
            log.warning("database_away", error=str(error), remedy="it is tried again when needed")

    def provide_services() -> Services:
        return services

    app = Litestar(
        route_handlers=[
            *_routes(services),
            front_page,
            create_static_files_router(
                "/page",
                [PAGE_FOLDER],
                name="page",
                after_request=_add_page_headers,
                opt={"role": OPEN},
            ),
        ],
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
        },
        on_startup=[open_store, keeper.start, exporter.start],
        on_shutdown=[exporter.stop, keeper.stop, services.close],
        exception_handlers={Exception: answer_error},
        cors_config=_cors(settings),
        openapi_config=_openapi(),
        request_class=ReadableRequest,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        signature_types=[Services, Caller],
    )
    app.asgi_handler = around_requests(app.asgi_handler, services.metrics)
    return app


@get(
    "/",
    opt={"role": OPEN},
    include_in_schema=False,
    media_type=MediaType.HTML,
    sync_to_thread=False,
)
def front_page() -> Response[bytes]:
    """The live page."""
    page = (PAGE_FOLDER / "index.html").read_bytes()
    return Response(page, media_type=MediaType.HTML, headers=PAGE_HEADERS)


def _routes(services: Services) -> list[ControllerRouterHandler]:
    """All resources; whatever is not for anyone stands behind the guard."""
    handlers = [handler for resource in RESOURCES for handler in resource.HANDLERS]
    closed = [_refusing(handler, REFUSALS) for handler in handlers if not is_open(handler)]
    lasting = Router(
        "/",
        route_handlers=[handler for handler in closed if stays_open(handler)],
        middleware=[make_accountable(services.logins)],
    )
    guarded = Router(
        "/",
        route_handlers=[lasting, *(handler for handler in closed if not stays_open(handler))],
        guards=[make_guard(services)],
        security=[{"bearer": []}],
    )
    return [guarded, *(_refusing(handler, UNREADABLE) for handler in handlers if is_open(handler))]


def _refusing(
    handler: ControllerRouterHandler, answers: Mapping[int, ResponseSpec]
) -> ControllerRouterHandler:
    """Documents what is answered before the handler's turn."""
    if not isinstance(handler, HTTPRouteHandler):
        return handler
    documented = copy(handler)
    documented.responses = {**answers, **(handler.responses or {})}
    return documented


def _add_page_headers(response: Response[Any]) -> Response[Any]:
    response.headers.update(PAGE_HEADERS)
    return response


def _cors(settings: Settings) -> CORSConfig:
    return CORSConfig(
        allow_origins=list(settings.allowed_origins),
        allow_credentials="*" not in settings.allowed_origins,
        expose_headers=["X-Request-ID", "Retry-After"],
    )


class ApiPage(OpenAPIRenderPlugin):
    """A page of our own that shows the OpenAPI document; it loads nothing from elsewhere."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  # the base class's signature
        """The page; it fetches openapi.json itself."""
        return (PAGE_FOLDER / "api.html").read_bytes()


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="SpotOn",
        version=system.product_version() or "0",
        description=DESCRIPTION,
        path="/docs",
        openapi_router=Router(
            "/docs", route_handlers=[], include_in_schema=False, opt={"role": OPEN}
        ),
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
            }
        ),
        render_plugins=[
            ApiPage(path="/"),
            JsonRenderPlugin(path="/openapi.json"),
            YamlRenderPlugin(path="/openapi.yaml"),
        ],
    )


def serve(settings: Settings, app: Litestar) -> None:
    """Runs the control plane until it is interrupted.

    PortInUseError when something else listens on the port; InvalidInputError for a host that
    cannot be listened on.
    """
    listener = open_listener(settings.host, settings.port)
    # Each viewer is an open file, and most systems begin with 1,024 though they allow many more.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    # The application is some 200,000 objects: no collection has to look through them again.
    gc.freeze()
    try:
        make_server(app).run(sockets=[listener])
    finally:
        listener.close()


def make_server(app: Litestar) -> uvicorn.Server:
    """The server, not yet listening."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            ws=LiveProtocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            timeout_graceful_shutdown=5,
        )
    )


def open_listener(host: str, port: int) -> socket.socket:
    """A bound socket; see serve for its errors."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} of {host} is taken: stop what listens there, or set SPOTON_PORT"
            ) from error
        raise InvalidInputError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): set SPOTON_HOST "
            "and SPOTON_PORT"
        ) from error
    return listener

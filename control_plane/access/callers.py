"""Who calls, and what they may do.

Every handler says the least role it needs, ``opt={"role": "viewer"}`` ("anyone" for everybody); a
handler that says nothing is for admins. One guard finds out who calls before the handler runs,
REST and WebSocket alike, and handlers take ``caller: NamedDependency[Caller]``.

For WebSockets ``socket_access`` does the rest: a refusal closes with 4401 or 4403, an expired
token with 4401. Handlers only ask ``caller.may_see`` of their environment, else close FORBIDDEN.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Scope

from control_plane.access.accounts import Role
from control_plane.access.tokens import read_access_token
from control_plane.errors import (
    NotAllowedError,
    NotAuthenticatedError,
    request_id_of,
)
from control_plane.services import Services
from control_plane.store import unknown_task
from control_plane.task_state import TaskView
from homography.environment import Environment
from plugins.errors import DatabaseUnavailableError, SpotOnError, UnknownEnvironmentError

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
RANKS = {"viewer": 1, "operator": 2, "admin": 3}
OPEN = "anyone"
NOT_AUTHENTICATED, FORBIDDEN, TRY_AGAIN_LATER = 4401, 4403, 1013
# <img> and WebSocket cannot send headers, so that these may carry the token in the address.
TOKEN_IN_QUERY = ("/api/v1/media/", "/api/v1/stream/", "/ws/")
LOG_IN = "log in with POST /api/v1/auth/login and send the token as Authorization: Bearer …"


class Caller(msgspec.Struct, frozen=True):
    """Whoever sent this request. ``user_id`` is null for the anonymous caller; ``environments``
    null means all; ``expires_at`` is in Unix seconds, null for never.
    """

    user_id: str | None
    name: str
    role: Role
    environments: tuple[str, ...] | None = None
    session_id: str | None = None
    expires_at: float | None = None
    address: str = ""
    request_id: str = ""

    def may_see(self, environment_id: str) -> bool:
        """Whether this environment is one of the caller's."""
        return self.environments is None or environment_id in self.environments

    def require_environment(self, environment_id: str) -> None:
        """UnknownEnvironmentError, as if it were not there, for one the caller may not see."""
        if not self.may_see(environment_id):
            raise UnknownEnvironmentError(
                f"there is no environment {environment_id!r} that {self.name} may see; "
                "GET /api/v1/environments lists those there are"
            )

    def has_role(self, role: str) -> bool:
        """Whether the caller's role is this one or a higher one."""
        return RANKS[self.role] >= RANKS[role]


def is_open(handler: object) -> bool:
    """Whether a handler is for anyone."""
    return getattr(handler, "opt", {}).get("role") == OPEN


def make_guard(services: Services) -> Guard:
    """The guard of every handler that is not for anyone."""

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        if is_open(handler):
            return
        try:
            connection.scope["user"] = await _admitted(services, connection, handler)
        except SpotOnError as error:
            if connection.scope["type"] == ScopeType.WEBSOCKET:
                raise WebSocketException(code=_close_code(error), detail=error.code) from error
            raise

    return guard


def provide_caller(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],  # noqa: ARG001  # Litestar gives each request that asks
    # for two independent things a task group, which costs more than both
) -> Caller:
    """The dependency ``caller``; in a handler for anyone, it is the anonymous one."""
    caller: Caller = request.scope.get("user") or anonymous(request.scope)
    return caller


def visible_environment(services: Services, caller: Caller, environment_id: str) -> Environment:
    """An environment the caller may see; UnknownEnvironmentError for any other."""
    caller.require_environment(environment_id)
    return services.environment(environment_id)


async def visible_task(services: Services, caller: Caller, task_id: str) -> TaskView:
    """A task of an environment the caller may see; TaskNotFoundError for any other."""
    task = await services.read_task(task_id)
    if not task.environment_id and caller.environments is not None:
        raise DatabaseUnavailableError(
            f"PostgreSQL does not answer, so that nobody can say whose task {task_id} is: start it"
        )
    if not caller.may_see(task.environment_id):
        raise unknown_task(task_id)
    return task


def anonymous(scope: Scope) -> Caller:
    """The caller who sends no token, as far as one is served: a viewer and operator."""
    return Caller(
        None, "anonymous", "operator", address=address_of(scope), request_id=request_id_of(scope)
    )


def address_of(scope: Scope) -> str:
    """Where a request comes from; behind a trusted proxy, what it says."""
    client = scope["client"]
    return client[0] if client else ""


async def _admitted(
    services: Services, connection: Connection, handler: BaseRouteHandler
) -> Caller:
    caller = await _identified(services, connection)
    limit = services.settings.requests_per_min
    await services.rate_limit.check(_counted_as(caller), limit)
    wanted = handler.opt.get("role", "admin")
    if not caller.has_role(wanted):
        hint = f"; {LOG_IN}" if caller.user_id is None else ""
        raise NotAllowedError(
            f"this is for the role {wanted}, and {caller.name} is {caller.role}{hint}"
        )
    return caller


async def _identified(services: Services, connection: Connection) -> Caller:
    token = token_of(connection)
    if token is None:
        return _without_token(services, connection)
    try:
        claims = read_access_token(await services.logins.signing_key(), token)
    except NotAuthenticatedError:
        await _count_guess(services, connection.scope)
        raise
    session_id = str(claims.sid)
    login = await services.logins.find(session_id)
    if login is None:
        raise NotAuthenticatedError("this login has ended: log in again")
    return Caller(
        login.user_id,
        login.name,
        login.role,
        login.environments,
        session_id=session_id,
        expires_at=claims.exp,
        address=address_of(connection.scope),
        request_id=request_id_of(connection.scope),
    )


async def _count_guess(services: Services, scope: Scope) -> None:
    limit = services.settings.requests_per_min
    await services.rate_limit.check(f"address:{address_of(scope)}", limit)


def _without_token(services: Services, connection: Connection) -> Caller:
    if not services.settings.anonymous:
        raise NotAuthenticatedError(LOG_IN)
    if _is_foreign_page(connection, services.settings.allowed_origins):
        raise NotAllowedError(
            "pages of other sites may not call without a token: log in, or add the page's origin "
            "to SPOTON_ALLOWED_ORIGINS"
        )
    return anonymous(connection.scope)


def _is_foreign_page(connection: Connection, allowed: tuple[str, ...]) -> bool:
    """Whether a browser calls for a page of another site, which CORS does not keep from starting
    tasks or opening WebSockets, but only from reading answers.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return False
    return urlsplit(origin).netloc != connection.headers.get("host")


def token_of(connection: Connection) -> str | None:
    """The access token, from wherever this kind of request may carry it; None without one."""
    authorization = connection.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticatedError(f"Authorization has to be a bearer token: {LOG_IN}")
        return token.strip()
    offered: Any = connection.scope.get("subprotocols") or []
    if len(offered) == 2 and offered[0] == "bearer":
        return str(offered[1])
    is_get = connection.scope.get("method", "GET") in {"GET", "HEAD"}
    if is_get and connection.url.path.startswith(TOKEN_IN_QUERY):
        return connection.query_params.get("token")
    return None


def _counted_as(caller: Caller) -> str:
    return f"user:{caller.user_id}" if caller.user_id else f"address:{caller.address}"


def _close_code(error: Exception) -> int:
    if isinstance(error, NotAuthenticatedError):
        return NOT_AUTHENTICATED
    return FORBIDDEN if isinstance(error, NotAllowedError) else TRY_AGAIN_LATER

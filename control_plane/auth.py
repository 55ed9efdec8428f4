"""``/api/v1/auth``: logging in, staying logged in, logging out, and who one is."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.types import ControllerRouterHandler

from control_plane.access.accounts import (
    Role,
    User,
    find_password,
    find_user,
    read_preferences,
    set_password,
    write_preferences,
)
from control_plane.access.callers import OPEN, Caller
from control_plane.access.first_admin import ensure_first_admin
from control_plane.access.logins import Grant
from control_plane.audit import record
from control_plane.errors import (
    NotAllowedError,
    NotAuthenticatedError,
    RefreshTokenReusedError,
    TooManyRequestsError,
    documented,
)
from control_plane.services import Services
from plugins.errors import DatabaseUnavailableError, InvalidInputError

API = "/api/v1/auth"
MAX_PREFERENCES_BYTES = 16 * 1024
WRONG = "name or password is wrong: check both, and that the user is active"
Name = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9._@+-]{1,64}$", description="capitals do not matter")
]
GivenPassword = Annotated[str, msgspec.Meta(max_length=200)]
NewPassword = Annotated[str, msgspec.Meta(min_length=10, max_length=200)]
RefreshToken = Annotated[str, msgspec.Meta(max_length=200)]


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who logs in."""

    username: Name
    password: GivenPassword


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest refresh token."""

    refresh_token: RefreshToken


class Logout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing ends the login of the access token; ``everywhere`` all logins of its user."""

    everywhere: bool = False


class NewPasswordOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password so far, and the next."""

    current_password: GivenPassword
    new_password: NewPassword


class Me(msgspec.Struct, frozen=True):
    """Who calls. ``user_id`` is null for the anonymous caller; ``environments`` null means all."""

    user_id: str | None
    username: str
    role: Role
    environments: list[str] | None


class Tokens(msgspec.Struct, frozen=True):
    """The access token goes into ``Authorization: Bearer …``, for ``expires_in`` seconds. The
    refresh token is good for one POST refresh, within ``refresh_expires_in`` seconds.
    """

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_expires_in: int
    user: Me


class Permissions(msgspec.Struct, frozen=True):
    """What the caller may do: ``view`` see, ``operate`` start and stop, ``administer`` the rest."""

    role: Role
    view: bool
    operate: bool
    administer: bool
    environments: list[str] | None


class Done(msgspec.Struct, frozen=True):
    """It has been done."""

    status: Literal["done"] = "done"


EXAMPLE_ME = Me("7a0d2f52-6a0e-4a58-9c55-0d3f5b1f9a10", "anna", "operator", ["campus"])
EXAMPLE_TOKENS = Tokens(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3YTBkMmY1MiJ9.signature",
    "q3l0yR0h9Yv5b2J4aXH8c6nZ1kTg7uWdEoSx2pVfMhA",
    "bearer",
    900,
    1_209_600,
    EXAMPLE_ME,
)
EXAMPLE_LOGIN = {"username": "anna", "password": "correct horse battery"}
EXAMPLE_REFRESH = {"refresh_token": EXAMPLE_TOKENS.refresh_token}
EXAMPLE_PASSWORDS = {
    "current_password": EXAMPLE_LOGIN["password"],
    "new_password": "staple battery horse",
}
EXAMPLE_PREFERENCES = {"theme": "dark", "cameras": ["c01", "c02"]}


@post(
    f"{API}/login",
    opt={"role": OPEN},
    status_code=200,
    tags=["auth"],
    responses=documented(
        200,
        Tokens,
        EXAMPLE_TOKENS,
        NotAuthenticatedError,
        TooManyRequestsError,
        DatabaseUnavailableError,
    ),
)
async def login(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[Credentials, Body(examples=[Example(summary="a user", value=EXAMPLE_LOGIN)])],
) -> Tokens:
    """Log in. A wrong name and a wrong password give the same answer, in the same time."""
    name = data.username.lower()
    await _limit(services, f"login:address:{caller.address}", f"login:user:{name}")
    await ensure_first_admin(services.store, services.passwords, services.settings)
    user = await _verified(services, name, data.password)
    if user is None:
        await record(services, caller, "auth.login_failed", name)
        raise NotAuthenticatedError(WRONG)
    grant = await services.logins.open(user, caller.address)
    await record(services, _as_caller(user, caller), "auth.login", grant.session_id)
    return _tokens(services, grant)


@post(
    f"{API}/refresh",
    opt={"role": OPEN},
    status_code=200,
    tags=["auth"],
    responses=documented(
        200,
        Tokens,
        EXAMPLE_TOKENS,
        NotAuthenticatedError,
        RefreshTokenReusedError,
        TooManyRequestsError,
        DatabaseUnavailableError,
    ),
)
async def refresh(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[Refresh, Body(examples=[Example(summary="newest", value=EXAMPLE_REFRESH)])],
) -> Tokens:
    """The next pair of tokens. One that was used before ends the login: somebody has a copy."""
    limit = services.settings.requests_per_min
    await services.rate_limit.check(f"address:{caller.address}", limit)
    try:
        grant = await services.logins.refresh(data.refresh_token)
    except RefreshTokenReusedError as error:
        await record(services, caller, "auth.refresh_reused", error.user_name)
        raise
    return _tokens(services, grant)


@post(
    f"{API}/logout",
    opt={"role": "viewer"},
    status_code=200,
    tags=["auth"],
    responses=documented(200, Done, Done(), DatabaseUnavailableError),
)
async def logout(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[
        Logout | None, Body(examples=[Example(summary="here only", value={"everywhere": False})])
    ] = None,
) -> Done:
    """End this login, or all of the user's; their tokens are void at once."""
    if caller.session_id is None or caller.user_id is None:
        return Done()
    if data is not None and data.everywhere:
        await _end_all(services, caller.user_id)
    else:
        await services.logins.end(caller.session_id)
    await record(services, caller, "auth.logout", caller.session_id)
    return Done()


@get(f"{API}/me", opt={"role": "viewer"}, tags=["auth"], responses=documented(200, Me, EXAMPLE_ME))
async def me(caller: NamedDependency[Caller]) -> Me:
    """Who calls."""
    return Me(caller.user_id, caller.name, caller.role, _listed(caller.environments))


@put(
    f"{API}/me/password",
    opt={"role": "viewer"},
    tags=["auth"],
    responses=documented(200, Done, Done(), InvalidInputError, DatabaseUnavailableError),
)
async def change_password(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[NewPasswordOf, Body(examples=[Example(summary="x", value=EXAMPLE_PASSWORDS)])],
) -> Done:
    """Change one's own password; all other logins of the user end."""
    user_id = _user_id(caller)
    await _limit(services, f"login:user:{caller.name}")
    if await _verified(services, caller.name, data.current_password) is None:
        raise InvalidInputError("current_password is wrong: nothing has been changed")
    hashed = await services.passwords.hash(data.new_password)
    async with services.store.connection() as connection, connection.transaction():
        await set_password(connection, user_id, hashed)
        await services.logins.end_all(connection, user_id, but=caller.session_id)
        await record(services, caller, "auth.change_password", user_id, connection=connection)
        user = await find_user(connection, user_id)
    await services.logins.announce(user)
    return Done()


@get(
    f"{API}/me/preferences",
    opt={"role": "viewer"},
    tags=["auth"],
    responses=documented(200, dict[str, Any], EXAMPLE_PREFERENCES, DatabaseUnavailableError),
)
async def preferences(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """What the user's frontends keep here; the anonymous caller has none."""
    if caller.user_id is None:
        return {}
    async with services.store.connection() as connection:
        return await read_preferences(connection, caller.user_id)


@put(
    f"{API}/me/preferences",
    opt={"role": "viewer"},
    tags=["auth"],
    responses=documented(
        200, dict[str, Any], EXAMPLE_PREFERENCES, InvalidInputError, DatabaseUnavailableError
    ),
)
async def put_preferences(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[
        dict[str, Any], Body(examples=[Example(summary="any object", value=EXAMPLE_PREFERENCES)])
    ],
) -> dict[str, Any]:
    """Replace them with any JSON object of up to 16 KiB."""
    user_id = _user_id(caller)
    encoded = msgspec.json.encode(data)
    if len(encoded) > MAX_PREFERENCES_BYTES:
        raise InvalidInputError(
            f"preferences may have {MAX_PREFERENCES_BYTES} bytes, and these have {len(encoded)}"
        )
    async with services.store.connection() as connection, connection.transaction():
        await write_preferences(connection, user_id, encoded)
        await record(services, caller, "auth.put_preferences", user_id, connection=connection)
    return data


@get(
    f"{API}/permissions/test",
    opt={"role": "viewer"},
    tags=["auth"],
    responses=documented(200, Permissions, Permissions("operator", True, True, False, ["campus"])),
)
async def permissions(caller: NamedDependency[Caller]) -> Permissions:
    """What the caller may do."""
    view, operate, administer = (caller.has_role(r) for r in ("viewer", "operator", "admin"))
    return Permissions(caller.role, view, operate, administer, _listed(caller.environments))


async def _verified(services: Services, name: str, password: str) -> User | None:
    async with services.store.connection() as connection:
        found = await find_password(connection, name)
    user_id, stored = found or (None, None)
    if not await services.passwords.verify(password, stored) or user_id is None:
        return None
    async with services.store.connection() as connection:
        return await find_user(connection, user_id)


async def _limit(services: Services, *keys: str) -> None:
    for key in keys:
        await services.rate_limit.check(key, services.settings.logins_per_min)


async def _end_all(services: Services, user_id: str) -> None:
    async with services.store.connection() as connection, connection.transaction():
        await services.logins.end_all(connection, user_id)
        user = await find_user(connection, user_id)
    await services.logins.announce(user)


def _user_id(caller: Caller) -> str:
    if caller.user_id is None:
        raise NotAllowedError("only users have that: log in with POST /api/v1/auth/login")
    return caller.user_id


def _as_caller(user: User, caller: Caller) -> Caller:
    return msgspec.structs.replace(caller, user_id=user.user_id, name=user.name, role=user.role)


def _tokens(services: Services, grant: Grant) -> Tokens:
    user, settings = grant.user, services.settings
    return Tokens(
        grant.access_token,
        grant.refresh_token,
        "bearer",
        settings.access_token_s,
        settings.login_s,
        Me(user.user_id, user.name, user.role, user.environments),
    )


def _listed(environments: tuple[str, ...] | None) -> list[str] | None:
    return None if environments is None else list(environments)


HANDLERS: list[ControllerRouterHandler] = [
    login,
    refresh,
    logout,
    me,
    change_password,
    preferences,
    put_preferences,
    permissions,
]

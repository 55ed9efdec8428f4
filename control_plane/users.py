"""``/api/v1/auth/users``: who may log in, as what, and which environments they see."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.accounts import (
    Role,
    User,
    add_user,
    change_user,
    count_users,
    delete_user,
    find_user,
    list_users,
    lock_users,
)
from control_plane.access.callers import Caller
from control_plane.audit import record
from control_plane.auth import Done, Name, NewPassword
from control_plane.errors import (
    LastAdminError,
    UserExistsError,
    UserNotFoundError,
    documented,
)
from control_plane.pages import Cursor, Limit, Page, decode_cursor, encode_cursor
from control_plane.services import Services
from plugins.errors import DatabaseUnavailableError, InvalidInputError, UnknownEnvironmentError

API = "/api/v1/auth/users"
EnvironmentIds = Annotated[list[str], msgspec.Meta(max_length=1000)]


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user to be. ``environments`` null means all, and admins always see all."""

    username: Name
    password: NewPassword
    role: Role = "viewer"
    environments: EnvironmentIds | None = None


class UserChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. A new password or ``is_active`` false ends all
    logins of the user.
    """

    role: Role | msgspec.UnsetType = msgspec.UNSET
    environments: EnvironmentIds | msgspec.UnsetType | None = msgspec.UNSET
    password: NewPassword | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


EXAMPLE_USER: dict[str, Any] = {
    "user_id": "7a0d2f52-6a0e-4a58-9c55-0d3f5b1f9a10",
    "name": "anna",
    "role": "operator",
    "environments": ["campus"],
    "is_active": True,
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:00:00Z",
}
EXAMPLE_PAGE = {"items": [EXAMPLE_USER], "total": 1, "next_cursor": None, "has_next": False}
EXAMPLE_NEW = {
    "username": "anna",
    "password": "correct horse battery",
    "role": "operator",
    "environments": ["campus"],
}
EXAMPLE_CHANGE = {"role": "viewer", "environments": ["campus", "factory"]}
UserId = Annotated[str, PathParameter(description="as the list has it", max_length=64)]


@get(
    API,
    opt={"role": "admin"},
    tags=["auth"],
    responses=documented(
        200, Page[User], EXAMPLE_PAGE, InvalidInputError, DatabaseUnavailableError
    ),
)
async def all_users(
    services: NamedDependency[Services], limit: Limit = 50, cursor: Cursor = None
) -> Page[User]:
    """All users by name."""
    after = None if cursor is None else decode_cursor(cursor, 1)[0]
    async with services.store.connection() as connection:
        users = await list_users(connection, after, limit + 1)
        total = await count_users(connection)
    has_next = len(users) > limit
    shown = users[:limit]
    return Page(shown, total, encode_cursor(shown[-1].name) if has_next else None, has_next)


@post(
    API,
    opt={"role": "admin"},
    tags=["auth"],
    responses=documented(
        201,
        User,
        EXAMPLE_USER,
        UserExistsError,
        UnknownEnvironmentError,
        InvalidInputError,
        DatabaseUnavailableError,
    ),
)
async def new_user(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: Annotated[NewUser, Body(examples=[Example(summary="an operator", value=EXAMPLE_NEW)])],
) -> User:
    """Let somebody log in."""
    _check_environments(services, data.role, data.environments)
    hashed = await services.passwords.hash(data.password)
    name = data.username.lower()
    async with services.store.connection() as connection, connection.transaction():
        user = await add_user(connection, name, hashed, data.role, data.environments)
        await record(
            services, caller, "users.create", user.user_id, _facts(user), connection=connection
        )
    return user


@patch(
    f"{API}/{{user_id:str}}",
    opt={"role": "admin"},
    tags=["auth"],
    responses=documented(
        200,
        User,
        EXAMPLE_USER,
        UserNotFoundError,
        UnknownEnvironmentError,
        LastAdminError,
        InvalidInputError,
        DatabaseUnavailableError,
    ),
)
async def patch_user(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    user_id: UserId,
    data: Annotated[UserChange, Body(examples=[Example(summary="demote", value=EXAMPLE_CHANGE)])],
) -> User:
    """Change a user; it holds at once, for those logged in too."""
    hashed = await services.passwords.hash(data.password) if data.password else None
    async with services.store.connection() as connection, connection.transaction():
        user = await _changed(services, connection, user_id, data, hashed)
        if hashed is not None or not user.is_active:
            await services.logins.end_all(connection, user.user_id)
        facts = _facts(user) | {"password": hashed is not None}
        await record(services, caller, "users.change", user.user_id, facts, connection=connection)
    await services.logins.announce(user)
    return user


@delete(
    f"{API}/{{user_id:str}}",
    opt={"role": "admin"},
    status_code=200,
    tags=["auth"],
    responses=documented(
        200, Done, Done(), UserNotFoundError, LastAdminError, DatabaseUnavailableError
    ),
)
async def remove_user(
    services: NamedDependency[Services], caller: NamedDependency[Caller], user_id: UserId
) -> Done:
    """Delete a user and end all logins; the audit log keeps what the user did."""
    async with services.store.connection() as connection, connection.transaction():
        user = await find_user(connection, user_id)
        session_ids = await services.logins.session_ids(connection, user.user_id)
        await delete_user(connection, user_id)
        await record(
            services, caller, "users.delete", user.user_id, _facts(user), connection=connection
        )
    await services.logins.forget(session_ids)
    return Done()


async def _changed(
    services: Services, connection: Any, user_id: str, data: UserChange, hashed: str | None
) -> User:
    await lock_users(connection)
    before = await find_user(connection, user_id)
    role = before.role if data.role is msgspec.UNSET else data.role
    environments = before.environments if data.environments is msgspec.UNSET else data.environments
    if data.role == "admin" and data.environments is msgspec.UNSET:
        environments = None
    _check_environments(services, role, environments)
    return await change_user(
        connection,
        user_id,
        role=role,
        environments=environments,
        is_active=before.is_active if data.is_active is msgspec.UNSET else data.is_active,
        password_hash=hashed,
    )


def _check_environments(services: Services, role: Role, environments: list[str] | None) -> None:
    if environments is None:
        return
    if role == "admin":
        raise InvalidInputError("admins see all environments: leave environments null")
    for environment_id in environments:
        services.environment(environment_id)


def _facts(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "environments": user.environments,
        "is_active": user.is_active,
    }


HANDLERS: list[ControllerRouterHandler] = [all_users, new_user, patch_user, remove_user]

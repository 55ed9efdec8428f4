"""The users' rows. Every function takes a connection of the store."""

import uuid
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from control_plane.errors import LastAdminError, UserExistsError, UserNotFoundError

Role = Literal["viewer", "operator", "admin"]
COLUMNS = "user_id, name, role, environments, is_active, created_at, updated_at"
USERS_LOCK = 7_305_115
FIND = f"""select {COLUMNS} from users where user_id = $1"""  # noqa: S608  # constants only
LIST = f"""select {COLUMNS} from users
  where $1::text is null or name > $1 order by name limit $2"""  # noqa: S608
FIRST_ADMIN = f"""select {COLUMNS} from users
  where role = 'admin' and is_active order by created_at limit 1"""  # noqa: S608
INSERT = f"""insert into users (user_id, name, password_hash, role, environments)
  values ($1, $2, $3, $4, $5) returning {COLUMNS}"""  # noqa: S608
UPDATE = f"""update users set role = $2, environments = $3, is_active = $4,
    password_hash = coalesce($5, password_hash), updated_at = now()
  where user_id = $1 returning {COLUMNS}"""  # noqa: S608
OTHER_ADMINS = """select count(*) from users
  where role = 'admin' and is_active and user_id <> $1"""


class User(msgspec.Struct, frozen=True):
    """A user; ``environments`` null means all of them."""

    user_id: str
    name: str
    role: Role
    environments: list[str] | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


async def find_user(connection: Any, user_id: str) -> User:
    """One user; UserNotFoundError when there is none of that id."""
    row = await connection.fetchrow(FIND, parse_user_id(user_id))
    if row is None:
        raise unknown_user(user_id)
    return user_of(row)


async def find_by_name(connection: Any, name: str) -> User:
    """One user; UserNotFoundError when there is none of that name."""
    user_id = await connection.fetchval("select user_id from users where name = $1", name)
    if user_id is None:
        raise UserNotFoundError(f"there is no user {name!r}: the first one is admin")
    return await find_user(connection, str(user_id))


async def find_password(connection: Any, name: str) -> tuple[str, str] | None:
    """(user id, password hash) of an active user; None when there is none of that name."""
    row = await connection.fetchrow(
        "select user_id, password_hash from users where name = $1 and is_active", name
    )
    return None if row is None else (str(row["user_id"]), row["password_hash"])


async def find_active_admin(connection: Any) -> User | None:
    """The admin who has been one for longest; None where there is none."""
    row = await connection.fetchrow(FIRST_ADMIN)
    return None if row is None else user_of(row)


async def list_users(connection: Any, after: str | None, limit: int) -> list[User]:
    """By name, those after ``after``."""
    return [user_of(row) for row in await connection.fetch(LIST, after, limit)]


async def count_users(connection: Any) -> int:
    """All of them, the inactive ones too."""
    return int(await connection.fetchval("select count(*) from users"))


async def add_user(
    connection: Any, name: str, password_hash: str, role: Role, environments: list[str] | None
) -> User:
    """The new user; UserExistsError when the name is taken."""
    try:
        row = await connection.fetchrow(
            INSERT, uuid.uuid4(), name, password_hash, role, environments
        )
    except asyncpg.UniqueViolationError as error:
        raise UserExistsError(f"there is a user {name!r} already: choose another name") from error
    return user_of(row)


async def lock_users(connection: Any) -> None:
    """Keeps others from changing users until the end of the transaction. May be called again."""
    await connection.execute("select pg_advisory_xact_lock($1)", USERS_LOCK)


async def add_first_admin(connection: Any, name: str, password_hash: str) -> User | None:
    """Adds an admin where there is no user at all; None where there is one. In a transaction."""
    await lock_users(connection)
    if await count_users(connection):
        return None
    return await add_user(connection, name, password_hash, "admin", None)


async def change_user(
    connection: Any,
    user_id: str,
    *,
    role: Role,
    environments: list[str] | None,
    is_active: bool,
    password_hash: str | None,
) -> User:
    """Writes all of it, the password where one is given. In a transaction.

    LastAdminError when nobody could manage users after it.
    """
    await lock_users(connection)
    before = await find_user(connection, user_id)
    if role != "admin" or not is_active:
        await _require_other_admin(connection, before)
    values = (uuid.UUID(before.user_id), role, environments, is_active, password_hash)
    return user_of(await connection.fetchrow(UPDATE, *values))


async def delete_user(connection: Any, user_id: str) -> User:
    """Deletes a user with all logins; LastAdminError for the last admin. In a transaction."""
    await lock_users(connection)
    user = await find_user(connection, user_id)
    await _require_other_admin(connection, user)
    await connection.execute("delete from users where user_id = $1", uuid.UUID(user.user_id))
    return user


async def _require_other_admin(connection: Any, user: User) -> None:
    if user.role != "admin" or not user.is_active:
        return
    if not await connection.fetchval(OTHER_ADMINS, uuid.UUID(user.user_id)):
        raise LastAdminError(f"{user.name} is the last admin: make another user admin first")


def parse_user_id(user_id: str) -> uuid.UUID:
    """The id as a UUID; anything else is UserNotFoundError."""
    try:
        return uuid.UUID(user_id)
    except ValueError as error:
        raise unknown_user(user_id) from error


def unknown_user(user_id: str) -> UserNotFoundError:
    """No such user, and where to look."""
    return UserNotFoundError(
        f"there is no user {user_id!r}; GET /api/v1/auth/users lists those there are"
    )


def user_of(row: Any) -> User:
    """A row of COLUMNS as a user."""
    values = {name: row[name] for name in User.__struct_fields__}
    return User(**values | {"user_id": str(values["user_id"])})


async def set_password(connection: Any, user_id: str, password_hash: str) -> None:
    """Replaces the hash."""
    await connection.execute(
        "update users set password_hash = $2, updated_at = now() where user_id = $1",
        uuid.UUID(user_id),
        password_hash,
    )


async def read_preferences(connection: Any, user_id: str) -> dict[str, Any]:
    """What write_preferences wrote last; empty at first."""
    text = await connection.fetchval(
        "select preferences from users where user_id = $1", uuid.UUID(user_id)
    )
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


async def write_preferences(connection: Any, user_id: str, encoded: bytes) -> None:
    """Replaces a user's preferences, a JSON object."""
    await connection.execute(
        "update users set preferences = $2::jsonb where user_id = $1",
        uuid.UUID(user_id),
        encoded.decode(),
    )

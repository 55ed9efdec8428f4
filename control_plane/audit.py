"""Who did what: every write, and every look at a person; ``/api/v1/audit`` shows it to admins."""

import getpass
import os
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller
from control_plane.errors import documented
from control_plane.pages import Cursor, Limit, Page, decode_cursor, encode_cursor
from control_plane.services import Services
from plugins.errors import DatabaseUnavailableError, InvalidInputError

LOOK = ".read"
LOOK_LASTS_S = 60
COMMAND = "command line"
INSERT = """insert into audit_log
    (user_id, user_name, role, address, request_id, action, target, details)
  values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)"""
SELECT = """select * from audit_log
  where ($1::text is null or user_name = $1)
    and ($2::text is null or action = $2 or action like $3)
    and ($4::text is null or target = $4)
    and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6)
    and ($7::bigint is null or entry_id < $7)
  order by entry_id desc limit $8"""
Text = Annotated[str | None, QueryParameter(max_length=200)]


class AuditEntry(msgspec.Struct, frozen=True):
    """One act. ``user_id`` is null for the anonymous caller and for commands, whose ``address`` is
    "command line"; ``role`` is the one it was done as.
    """

    entry_id: int
    at: datetime
    user_id: str | None
    user_name: str
    role: str
    address: str
    request_id: str
    action: str
    target: str
    details: dict[str, Any]


EXAMPLE_ENTRY: dict[str, Any] = {
    "entry_id": 41,
    "at": "2026-01-01T12:00:00Z",
    "user_id": "7a0d2f52-6a0e-4a58-9c55-0d3f5b1f9a10",
    "user_name": "anna",
    "role": "operator",
    "address": "192.0.2.7",
    "request_id": "4f6c2d1e9b0a4c7d8e5f3a2b1c0d9e8f",
    "action": "tasks.start",
    "target": "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33",
    "details": {"environment_id": "campus"},
}
EXAMPLE_PAGE = {"items": [EXAMPLE_ENTRY], "total": None, "next_cursor": None, "has_next": False}


async def record(
    services: Services,
    caller: Caller,
    action: str,
    target: object,
    details: dict[str, Any] | None = None,
    *,
    connection: Any = None,
) -> None:
    """Writes an entry, in the handler's own transaction where it gives its ``connection``.

    ``action`` is "resource.verb" ("tasks.start", "persons.read"), ``target`` the id of what was
    written or looked at. A look, whose verb is "read", is written once a minute however often a
    page asks. DatabaseUnavailableError when it cannot be written: what nobody can account for is
    not done.
    """
    look = f"spoton:look:{caller.user_id}:{caller.address}:{action}:{target}"
    is_look = action.endswith(LOOK)
    if is_look and await services.spare_redis.ask(lambda redis: redis.exists(look)):
        return
    values = _values(caller, action, target, details)
    if connection is not None:
        await connection.execute(INSERT, *values)
    else:
        async with services.store.connection() as own:
            await own.execute(INSERT, *values)
    if is_look:
        await services.spare_redis.ask(lambda redis: redis.set(look, 1, ex=LOOK_LASTS_S))


async def record_command(
    connection: Any, action: str, target: object, details: dict[str, Any] | None = None
) -> None:
    """The same of a command on this machine; who gave it is the system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    caller = Caller(None, name, "admin", address=COMMAND)
    await connection.execute(INSERT, *_values(caller, action, target, details))


def _values(
    caller: Caller, action: str, target: object, details: dict[str, Any] | None
) -> tuple[object, ...]:
    # PostgreSQL keeps no NUL; an entry is never lost for one.
    encoded = msgspec.json.encode(details or {}).decode().replace("\\u0000", "\\ufffd")
    shown = str(target).replace("\0", "\ufffd")
    who = (caller.user_id, caller.name, caller.role, caller.address, caller.request_id)
    return (*who, action, shown, encoded)


@get(
    "/api/v1/audit",
    opt={"role": "admin"},
    tags=["audit"],
    responses=documented(
        200, Page[AuditEntry], EXAMPLE_PAGE, InvalidInputError, DatabaseUnavailableError
    ),
)
async def audit_log(
    *,
    services: NamedDependency[Services],
    limit: Limit = 50,
    cursor: Cursor = None,
    user: Text = None,
    action: Text = None,
    target: Text = None,
    start_time: FromQuery[datetime | None] = None,
    end_time: FromQuery[datetime | None] = None,
) -> Page[AuditEntry]:
    """Newest first. ``action`` is a whole one, "tasks.start", or a resource, "tasks"."""
    _check_times(start_time, end_time)
    of_resource = None if action is None else f"{_literally(action)}.%"
    where = (user, action, of_resource, target, start_time, end_time, _position(cursor))
    async with services.store.connection() as connection:
        rows = await connection.fetch(SELECT, *where, limit + 1)
    entries = [_entry(row) for row in rows[:limit]]
    has_next = len(rows) > limit
    following = encode_cursor(str(entries[-1].entry_id)) if has_next else None
    return Page(entries, None, following, has_next)


def _literally(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _check_times(start: datetime | None, end: datetime | None) -> None:
    for name, time in (("start_time", start), ("end_time", end)):
        if time is not None and time.tzinfo is None:
            raise InvalidInputError(f"{name} has no time zone: end it with Z")
    if start is not None and end is not None and start >= end:
        raise InvalidInputError("start_time is not before end_time: swap them")


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    text = decode_cursor(cursor, 1)[0]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidInputError(f"cursor {cursor!r} is not one of ours: leave it out")
    return int(text)


def _entry(row: Any) -> AuditEntry:
    values = dict(row)
    values["user_id"] = None if row["user_id"] is None else str(row["user_id"])
    values["details"] = msgspec.json.decode(row["details"])
    return AuditEntry(**values)


HANDLERS: list[ControllerRouterHandler] = [audit_log]

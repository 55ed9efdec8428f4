"""``/api/v1/environments/{env}/sessions``: stretches of media time that somebody analyses."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics.scope import checked_range, open_scope
from control_plane.analytics.spans import Coverage
from control_plane.audit import record
from control_plane.environments import API, EnvironmentId
from control_plane.errors import documented
from control_plane.pages import Cursor, Limit, Page, decode_cursor, encode_cursor
from control_plane.services import Services
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    UnknownEnvironmentError,
)

INSERT = """
insert into sessions (session_id, environment_id, name, start_time, end_time, created_by)
values ($1, $2, $3, $4, $5, $6) returning *"""
SELECT = """select * from sessions where environment_id = $1
  and ($2::timestamptz is null or created_at < $2 or (created_at = $2 and session_id > $3))
order by created_at desc, session_id limit $4"""
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A range of media time to look at, under a name."""

    start_time: Time
    end_time: Time
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] = "analysis"


class Session(msgspec.Struct, frozen=True):
    """A stored range, and how much of it is covered by what is stored now."""

    session_id: str
    environment_id: str
    name: str
    start_time: datetime
    end_time: datetime
    created_by: str | None
    created_at: datetime
    coverage: Coverage


EXAMPLE: dict[str, Any] = {
    "session_id": "1c6c0f0e-6a3c-4a39-9c2e-1f8f4a3f7d10",
    "environment_id": "campus",
    "name": "Monday's rush hour",
    "start_time": "2024-05-01T08:00:00Z",
    "end_time": "2024-05-01T09:00:00Z",
    "created_by": "ada",
    "created_at": "2026-01-01T12:00:00Z",
    "coverage": {
        "has_data": True,
        "share": 0.98,
        "first": "2024-05-01T08:00:00Z",
        "last": "2024-05-01T08:59:59.900000Z",
        "tasks": ["6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"],
    },
}
ERRORS = (UnknownEnvironmentError, InvalidTimeRangeError, DatabaseUnavailableError)


@post(f"{API}/{{environment_id:str}}/sessions", status_code=201, tags=["environments"],
      opt={"role": "operator"}, responses=documented(201, Session, EXAMPLE, *ERRORS))  # fmt: skip
async def create_session(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
    data: JSONBody[NewSession],
) -> Session:
    """Keep a range of media time under a name."""
    environment = visible_environment(services, caller, environment_id)
    start, end = checked_range(data.start_time, data.end_time)
    session_id = uuid.uuid4()
    async with services.store.connection() as connection, connection.transaction():
        values = (session_id, environment_id, data.name, start, end, caller.name)
        row = await connection.fetchrow(INSERT, *values)
        await record(services, caller, "sessions.create", session_id, connection=connection)
        scope = await open_scope(connection, environment, start, end)
    return _session(row, scope.coverage)


@get(f"{API}/{{environment_id:str}}/sessions", tags=["environments"], opt={"role": "viewer"},
     responses=documented(
         200, Page[Session], {"items": [EXAMPLE], "total": None, "next_cursor": None,
                              "has_next": False}, *ERRORS, InvalidInputError))  # fmt: skip
async def list_sessions(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Session]:
    """Newest first."""
    environment = visible_environment(services, caller, environment_id)
    after = _position(cursor)
    async with services.store.connection() as connection:
        rows = await connection.fetch(SELECT, environment_id, *after, limit + 1)
        items = []
        for row in rows[:limit]:
            scope = await open_scope(connection, environment, row["start_time"], row["end_time"])
            items.append(_session(row, scope.coverage))
    has_next = len(rows) > limit
    last = items[-1] if has_next else None
    after_last = encode_cursor(last.created_at.isoformat(), last.session_id) if last else None
    return Page(items, None, after_last, has_next)


def _session(row: Any, coverage: Coverage) -> Session:
    values = dict(row)
    values["session_id"] = str(values["session_id"])
    return Session(**values, coverage=coverage)


def _position(cursor: str | None) -> tuple[datetime | None, uuid.UUID | None]:
    if cursor is None:
        return None, None
    created_at, session_id = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(created_at), uuid.UUID(session_id)
    except ValueError as error:
        raise InvalidInputError(f"cursor {cursor!r} is not one of ours: leave it out") from error


HANDLERS: list[ControllerRouterHandler] = [create_session, list_sessions]

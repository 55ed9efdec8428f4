"""``/api/v1/feedback/reidentification``: thumbs up or down on a match, and what they add up to."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics.people import find_person, unknown_person
from control_plane.audit import record
from control_plane.errors import PersonNotFoundError, documented
from control_plane.pages import Cursor, Limit, Page, decode_moment, encode_cursor
from control_plane.services import Services
from plugins.errors import DatabaseUnavailableError, InvalidInputError, UnknownEnvironmentError

API = "/api/v1/feedback/reidentification"
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Verdict = Literal["up", "down"]
INSERT = """insert into feedback (feedback_id, task_id, environment_id, global_id, other_global_id,
    camera_id, frame_index, verdict, note, given_by)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *"""
PAGE = """select * from feedback
  where ($1::text[] is null or environment_id = any($1)) and ($2::text is null or verdict = $2)
    and ($3::uuid is null or global_id = $3 or other_global_id = $3)
    and ($4::timestamptz is null or given_at < $4 or (given_at = $4 and feedback_id > $5))
  order by given_at desc, feedback_id limit $6"""
# A match is what the tracker said of the person in feedback, joined with the other if one is named.
AGREEMENT = """
select f.verdict, count(*) as given, avg(d.cosine) as cosine, avg(d.metres) as metres
from feedback f left join lateral (
  select avg(cosine) as cosine, avg(metres) as metres from identity_decisions d
  where d.task_id = f.task_id and d.verdict in ('matched', 'merged')
    and (d.global_id = f.global_id or d.other_global_id = f.global_id)
    and (f.other_global_id is null or d.global_id = f.other_global_id
      or d.other_global_id = f.other_global_id)) d on true
where $1::text is null or f.environment_id = $1 group by 1"""


class NewFeedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``up``: the id is right; ``down``: it is not. ``other_global_id`` names whom the person was
    matched with, or should have been; ``camera_id`` and ``frame_index`` where it was seen.
    """

    global_id: Id
    verdict: Verdict
    task_id: Id | None = None
    other_global_id: Id | None = None
    camera_id: Id | None = None
    frame_index: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    note: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Feedback(msgspec.Struct, frozen=True):
    """What somebody said of a match."""

    feedback_id: str
    task_id: str
    environment_id: str
    global_id: str
    other_global_id: str | None
    camera_id: str | None
    frame_index: int | None
    verdict: Verdict
    note: str
    given_by: str
    given_at: datetime


class Judged(msgspec.Struct, frozen=True):
    """Matches with one verdict: how many, and the mean of what the tracker had weighed for them,
    null where no decision is stored.
    """

    count: int = 0
    mean_cosine: float | None = None
    mean_metres: float | None = None


class Agreement(msgspec.Struct, frozen=True):
    """What people say of the tracker's matches. ``share_right`` is null without any feedback; it is
    of the matches that somebody looked at, which are no random choice.
    """

    right: Judged
    wrong: Judged
    share_right: float | None


EXAMPLE: dict[str, Any] = {
    "feedback_id": "5a0f2d0e-12a4-4e02-9f3c-5b5f0c1d2e3f",
    "task_id": "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33",
    "environment_id": "campus",
    "global_id": "0d9f3c62-2b7e-5c53-9d0c-6a2f0a1e7b11",
    "other_global_id": None,
    "camera_id": "c02",
    "frame_index": 412,
    "verdict": "down",
    "note": "two people in red coats",
    "given_by": "anna",
    "given_at": "2026-01-01T12:00:00Z",
}
EXAMPLE_PAGE = {"items": [EXAMPLE], "total": None, "next_cursor": None, "has_next": False}


async def agreement(connection: Any, environment_id: str | None = None) -> Agreement:
    """Of an environment, or of all."""
    rows = {r["verdict"]: r for r in await connection.fetch(AGREEMENT, environment_id)}
    right, wrong = (_judged(rows.get(verdict)) for verdict in ("up", "down"))
    given = right.count + wrong.count
    return Agreement(right, wrong, round(right.count / given, 4) if given else None)


@post(API, tags=["feedback"], opt={"role": "operator"},
      responses=documented(201, Feedback, EXAMPLE, PersonNotFoundError, InvalidInputError,
                           DatabaseUnavailableError))  # fmt: skip
async def give_feedback(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    data: JSONBody[NewFeedback],
) -> Feedback:
    """Say whether a match is right."""
    async with services.store.connection() as connection, connection.transaction():
        person = await find_person(connection, data.global_id, data.task_id)
        if not caller.may_see(person.environment_id):
            raise unknown_person(data.global_id)
        other = None
        if data.other_global_id is not None:
            other = await find_person(connection, data.other_global_id, person.task_id)
        place = (uuid.uuid4(), uuid.UUID(person.task_id), person.environment_id)
        ids = (uuid.UUID(person.global_id), uuid.UUID(other.global_id) if other else None)
        said = (data.camera_id, data.frame_index, data.verdict, data.note, caller.name)
        row = await connection.fetchrow(INSERT, *place, *ids, *said)
        audited = (services, caller, "feedback.give", person.global_id, {"verdict": data.verdict})
        await record(*audited, connection=connection)
    return _feedback(row)


@get(API, tags=["feedback"], opt={"role": "viewer"},
     responses=documented(200, Page[Feedback], EXAMPLE_PAGE, PersonNotFoundError,
                          UnknownEnvironmentError, InvalidInputError,
                          DatabaseUnavailableError))  # fmt: skip
async def list_feedback(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    verdict: FromQuery[Verdict | None] = None,
    global_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Feedback]:
    """What was said, newest first."""
    visible = caller.environments
    if environment_id is not None:
        visible_environment(services, caller, environment_id)
        visible = (environment_id,)
    wanted = (visible, verdict, _person(global_id), *decode_moment(cursor))
    async with services.store.connection() as connection:
        rows = await connection.fetch(PAGE, *wanted, limit + 1)
    found, has_next = [_feedback(row) for row in rows[:limit]], len(rows) > limit
    key = (found[-1].given_at.isoformat(), found[-1].feedback_id) if has_next else None
    return Page(found, None, encode_cursor(*key) if key else None, has_next)


@get(f"{API}/summary", tags=["feedback"], opt={"role": "viewer"},
     responses=documented(200, Agreement,
                          Agreement(Judged(18, 0.81, 0.4), Judged(2, 0.66, 1.9), 0.9),
                          UnknownEnvironmentError, DatabaseUnavailableError))  # fmt: skip
async def feedback_summary(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: Annotated[str, QueryParameter(max_length=64)],
) -> Agreement:
    """How often people found an environment's matches right, and what the tracker had weighed."""
    visible_environment(services, caller, environment_id)
    async with services.store.connection() as connection:
        return await agreement(connection, environment_id)


def _judged(row: Any) -> Judged:
    if row is None:
        return Judged()
    means = (None if row[name] is None else round(row[name], 4) for name in ("cosine", "metres"))
    return Judged(row["given"], *means)


def _person(global_id: str | None) -> uuid.UUID | None:
    try:
        return None if global_id is None else uuid.UUID(global_id)
    except ValueError as error:
        raise unknown_person(global_id or "") from error


def _feedback(row: Any) -> Feedback:
    values = dict(row)
    for name in ("feedback_id", "task_id", "global_id", "other_global_id"):
        values[name] = None if values[name] is None else str(values[name])
    return Feedback(**values)


HANDLERS: list[ControllerRouterHandler] = [give_feedback, list_feedback, feedback_summary]

"""``/api/v1/persons``: who was where and when. Every look at a person is in the audit log.

The same answers under ``/api/v1/analytics``: journeys and what stands out in them.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter
from litestar.types import ControllerRouterHandler

from control_plane import analytics_examples as examples
from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics import people
from control_plane.analytics.people import Behaviour, Journey, PersonRow, Trajectory, find_person
from control_plane.analytics.scope import checked_range, open_scope
from control_plane.analytics_places import Camera, End, Named, OneZone, Start
from control_plane.audit import record
from control_plane.errors import PersonNotFoundError, ZoneNotFoundError, documented
from control_plane.pages import Cursor, Limit, Page, decode_cursor, encode_cursor
from control_plane.services import Services
from control_plane.zones import find_zone
from homography.environment import Environment
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.plan import chosen_cameras

API = "/api/v1/persons"
ANALYTICS = "/api/v1/analytics"
PersonId = Annotated[str, PathParameter(description="a global id", max_length=64)]
OneTask = FromQuery[str | None]

SEARCH = """
select p.task_id::text, p.global_id::text, p.environment_id, p.first_seen, p.last_seen, p.cameras
from persons p
join unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) s(task_id, start_at, end_at)
  on p.task_id = s.task_id and p.first_seen < s.end_at and p.last_seen >= s.start_at
where ($4::text is null or exists (
    select 1 from visits v where v.task_id = p.task_id and v.global_id = p.global_id
    and v.kind = 'zone' and v.place_id = $4 and v.entered_at < s.end_at
    and v.left_at >= s.start_at))
  and ($5::text is null or exists (
    select 1 from visits v where v.task_id = p.task_id and v.global_id = p.global_id
    and v.kind = 'camera' and v.place_id = $5 and v.entered_at < s.end_at
    and v.left_at >= s.start_at))
  and ($6::timestamptz is null or (p.first_seen, p.global_id::text) > ($6, $7))
order by p.first_seen, p.global_id::text limit $8"""


class PersonDetails(msgspec.Struct, frozen=True):
    """One person: where and when they were seen, and how many pictures of them are kept."""

    global_id: str
    task_id: str
    environment_id: str
    first_seen: datetime
    last_seen: datetime
    cameras: list[str]
    tracking_duration_s: float
    crops: int
    has_embedding: bool


EXAMPLE_ROW: dict[str, Any] = {
    "task_id": examples.TASK_ID,
    "global_id": examples.PERSON_ID,
    "environment_id": "campus",
    "first_seen": "2024-05-01T08:10:00Z",
    "last_seen": "2024-05-01T08:12:30Z",
    "cameras": ["c01", "c02"],
}
EXAMPLE_DETAILS = EXAMPLE_ROW | {"tracking_duration_s": 150.0, "crops": 5, "has_embedding": True}
EXAMPLE_PAGE = {"items": [EXAMPLE_ROW], "total": None, "next_cursor": None, "has_next": False}
ERRORS = (
    PersonNotFoundError,
    UnknownEnvironmentError,
    InvalidInputError,
    DatabaseUnavailableError,
)
DETAILS = """select (select count(*) from person_crops where task_id = $1 and global_id = $2),
  (select embedding is not null from persons where task_id = $1 and global_id = $2)"""


async def seen_person(
    services: Services, caller: Caller, connection: Any, global_id: str, task_id: str | None
) -> tuple[PersonRow, Environment]:
    """A person the caller may see, noted in the audit log; PersonNotFoundError otherwise."""
    person = await find_person(connection, global_id, task_id)
    if not caller.may_see(person.environment_id):
        raise people.unknown_person(global_id)
    await record(services, caller, "persons.read", person.global_id, connection=connection)
    return person, services.environment(person.environment_id)


@get(f"{API}/search", tags=["persons"], opt={"role": "viewer"},
     responses=documented(200, Page[PersonRow], EXAMPLE_PAGE, UnknownEnvironmentError,
                          UnknownCameraError, ZoneNotFoundError, InvalidTimeRangeError,
                          InvalidInputError, DatabaseUnavailableError))  # fmt: skip
async def search_persons(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    start_time: Start = None,
    end_time: End = None,
    zone_id: OneZone = None,
    camera_id: Camera = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PersonRow]:
    """People of an environment by time, zone and camera, in order of appearance."""
    environment = visible_environment(services, caller, environment_id)
    start, end = checked_range(start_time, end_time)
    if camera_id is not None:
        chosen_cameras(environment, [camera_id])
    after = _position(cursor)
    async with services.store.connection() as connection:
        if zone_id is not None:
            await find_zone(connection, [environment], zone_id)
        scope = await open_scope(connection, environment, start, end)
        asked = (*scope.columns(), zone_id, camera_id, *after, limit + 1)
        rows = [PersonRow(**dict(r)) for r in await connection.fetch(SEARCH, *asked)]
        await record(services, caller, "persons.search", environment_id, connection=connection)
    has_next = len(rows) > limit
    last = rows[limit - 1] if has_next else None
    following = encode_cursor(last.first_seen.isoformat(), last.global_id) if last else None
    return Page(rows[:limit], None, following, has_next)


@get(f"{API}/{{global_id:str}}", tags=["persons"], opt={"role": "viewer"},
     responses=documented(200, PersonDetails, EXAMPLE_DETAILS, *ERRORS))  # fmt: skip
async def person_details(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: OneTask = None,
) -> PersonDetails:
    """One person of the newest task that knows the id, or of the task asked for."""
    async with services.store.connection() as connection:
        person, _ = await seen_person(services, caller, connection, global_id, task_id)
        crops, has_embedding = await connection.fetchrow(DETAILS, person.task_id, person.global_id)
    seconds = (person.last_seen - person.first_seen).total_seconds()
    values = msgspec.structs.asdict(person)
    return PersonDetails(
        **values, tracking_duration_s=seconds, crops=crops, has_embedding=bool(has_embedding)
    )


@get([f"{API}/{{global_id:str}}/journey", f"{ANALYTICS}/persons/{{global_id:str}}/journey"],
     tags=["persons", "analytics"], opt={"role": "viewer"},
     responses=documented(200, Journey, examples.JOURNEY, *ERRORS))  # fmt: skip
async def person_journey(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: OneTask = None,
) -> Journey:
    """A person's way across cameras and zones: times, distance, speed, stops."""
    async with services.store.connection() as connection:
        person, environment = await seen_person(services, caller, connection, global_id, task_id)
        return await people.journey(connection, environment, person)


@get(f"{API}/{{global_id:str}}/trajectory", tags=["persons"], opt={"role": "viewer"},
     responses=documented(200, Trajectory, examples.TRAJECTORY, *ERRORS))  # fmt: skip
async def person_trajectory(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    *,
    task_id: OneTask = None,
    start_time: Start = None,
) -> Trajectory:
    """A person's positions, one a second, and where they would have gone next."""
    start, _ = checked_range(start_time, None)
    async with services.store.connection() as connection:
        person, environment = await seen_person(services, caller, connection, global_id, task_id)
        return await people.trajectory(connection, environment, person, start)


@get(f"{ANALYTICS}/behavior/{{global_id:str}}/analysis", tags=["analytics"],
     opt={"role": "viewer"},
     responses=documented(200, Behaviour, examples.BEHAVIOUR, *ERRORS))  # fmt: skip
async def person_behaviour(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    global_id: PersonId,
    task_id: OneTask = None,
) -> Behaviour:
    """Loitering, running and unusual ways, each with its method and confidence."""
    async with services.store.connection() as connection:
        person, environment = await seen_person(services, caller, connection, global_id, task_id)
        return await people.behaviour(connection, environment, person)


def _position(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    first_seen, global_id = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(first_seen), global_id
    except ValueError as error:
        raise InvalidInputError(f"cursor {cursor!r} is not one of ours: leave it out") from error


HANDLERS: list[ControllerRouterHandler] = [
    search_persons,
    person_details,
    person_journey,
    person_trajectory,
    person_behaviour,
]

"""Questions about one person, answered from stored rows."""

import uuid
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from control_plane.analytics import queries
from control_plane.analytics.answers import Answer, at, basis
from control_plane.analytics.behaviour import (
    Finding,
    Predicted,
    cells_of,
    loitering,
    predict,
    running,
    unusual_path,
)
from control_plane.analytics.journey import Motion, Track, motion
from control_plane.analytics.paths import simplified
from control_plane.analytics.scope import EARLIEST, Scope, open_scope
from control_plane.errors import PersonNotFoundError
from homography.environment import Environment

MOST_POSITIONS = 7200
MOST_OTHERS = 150
FIND = """
select p.task_id::text, p.global_id::text, p.environment_id, p.first_seen, p.last_seen, p.cameras
from persons p join tasks t using (task_id)
where p.global_id = $1 and ($2::uuid is null or p.task_id = $2)
order by t.created_at desc limit 1"""


class Visited(msgspec.Struct, frozen=True):
    """A stay in a zone or in a camera's view."""

    kind: str
    place_id: str
    entered_at: datetime
    left_at: datetime
    seconds: float


class Position(msgspec.Struct, frozen=True):
    """Where somebody was, metres on the map; one a second."""

    timestamp: datetime
    map_coords: tuple[float, float]
    map_uncertainty_m: float


class PersonRow(msgspec.Struct, frozen=True):
    """One person of one task, as stored."""

    task_id: str
    global_id: str
    environment_id: str
    first_seen: datetime
    last_seen: datetime
    cameras: list[str]


class Journey(Answer, frozen=True, kw_only=True):
    """A person's way across cameras and zones. ``path_m`` is simplified to 0.3 m."""

    global_id: str
    task_id: str
    first_seen: datetime
    last_seen: datetime
    cameras: list[str]
    places: list[Visited]
    motion: Motion
    path_m: list[tuple[float, float]]


class Trajectory(Answer, frozen=True, kw_only=True):
    """A person's positions, and where they would have gone next. ``is_complete`` is false where
    there are more positions: ask on from ``continue_at``.
    """

    global_id: str
    task_id: str
    positions: list[Position]
    prediction: list[Predicted]
    is_complete: bool
    continue_at: datetime | None


class Behaviour(Answer, frozen=True, kw_only=True):
    """What stands out in a person's way, each with its method and confidence."""

    global_id: str
    task_id: str
    findings: list[Finding]
    history_persons: int
    motion: Motion


async def find_person(connection: Any, global_id: str, task_id: str | None = None) -> PersonRow:
    """Of the newest task that knows this id, or of the one asked for; PersonNotFoundError."""
    try:
        wanted = uuid.UUID(global_id), None if task_id is None else uuid.UUID(task_id)
    except ValueError as error:
        raise unknown_person(global_id) from error
    row = await connection.fetchrow(FIND, *wanted)
    if row is None:
        raise unknown_person(global_id)
    return PersonRow(**dict(row))


def unknown_person(global_id: str) -> PersonNotFoundError:
    """Nobody of that id, and where to look."""
    return PersonNotFoundError(
        f"nobody with the id {global_id!r} is stored; GET /api/v1/persons/search lists people"
    )


async def journey(connection: Any, environment: Environment, person: PersonRow) -> Journey:
    """The whole way, of its first two hours where it is longer."""
    scope = await _scope(connection, environment, person)
    rows = await positions(connection, person)
    places = await connection.fetch(
        queries.PLACES_OF, uuid.UUID(person.task_id), uuid.UUID(person.global_id)
    )
    track = queries.track_of(rows)
    path = simplified(track.points_m) if len(track) else track.points_m
    return Journey(
        **basis(scope),
        global_id=person.global_id,
        task_id=person.task_id,
        first_seen=person.first_seen,
        last_seen=person.last_seen,
        cameras=person.cameras,
        places=[_visited(row) for row in places],
        motion=motion(track),
        path_m=[(round(x, 3), round(y, 3)) for x, y in path.tolist()],
    )


async def trajectory(
    connection: Any, environment: Environment, person: PersonRow, start: datetime | None = None
) -> Trajectory:
    """Positions from ``start`` on, at most MOST_POSITIONS."""
    scope = await _scope(connection, environment, person)
    rows = await positions(connection, person, start)
    is_complete = len(rows) < MOST_POSITIONS
    ahead = predict(queries.track_of(rows), environment.map_bounds_m) if is_complete else []
    return Trajectory(
        **basis(scope),
        global_id=person.global_id,
        task_id=person.task_id,
        positions=[
            Position(at(r["at_s"]), (r["map_x"], r["map_y"]), r["uncertainty_m"]) for r in rows
        ],
        prediction=ahead,
        is_complete=is_complete,
        continue_at=None if is_complete else at(float(np.floor(rows[-1]["at_s"])) + 1),
    )


async def behaviour(connection: Any, environment: Environment, person: PersonRow) -> Behaviour:
    """Against the other people stored of the same environment."""
    scope = await _scope(connection, environment, person)
    rows = await positions(connection, person)
    track = queries.track_of(rows)
    everything = await open_scope(connection, environment)
    ways = await queries.ways(connection, everything, MOST_OTHERS)
    others = [cells_of(way.points_m) for name, way in ways if name != person.global_id]
    return Behaviour(
        **basis(scope),
        global_id=person.global_id,
        task_id=person.task_id,
        findings=_findings(track, rows, others),
        history_persons=len(others),
        motion=motion(track),
    )


async def positions(connection: Any, person: PersonRow, start: datetime | None = None) -> list[Any]:
    """One row a second in which a camera saw the person."""
    ids = uuid.UUID(person.task_id), uuid.UUID(person.global_id)
    return list(await connection.fetch(queries.TRACK, *ids, start or EARLIEST, MOST_POSITIONS))


def _findings(
    track: Track, rows: list[Any], others: list[dict[tuple[int, int], int]]
) -> list[Finding]:
    sigma_m = float(np.median([r["uncertainty_m"] for r in rows])) if rows else 0.0
    return [
        loitering(track, sigma_m),
        running(track, sigma_m),
        unusual_path(cells_of(track.points_m), others),
    ]


async def _scope(connection: Any, environment: Environment, person: PersonRow) -> Scope:
    """From the person's first to last sight, in the person's own task."""
    first, last = person.first_seen, person.last_seen
    if first == last:
        return await open_scope(connection, environment, first, None, person.task_id)
    return await open_scope(connection, environment, first, last, person.task_id)


def _visited(row: Any) -> Visited:
    seconds = (row["left_at"] - row["entered_at"]).total_seconds()
    return Visited(row["kind"], row["place_id"], row["entered_at"], row["left_at"], seconds)

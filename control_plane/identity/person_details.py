"""One person of one task: what is stored of their way, and where they are now."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from control_plane.access.callers import Caller, visible_task
from control_plane.errors import PersonNotFoundError
from control_plane.identity.movement import (
    FloorPoint,
    MovementMetrics,
    Sighting,
    movement_of,
    thinned,
)
from control_plane.services import Services
from control_plane.task_state import TaskView
from plugins.media_time import parse_rfc3339, to_datetime
from plugins.messages import TrackingUpdate, tracks_stream

HISTORY_KEPT = 120
LIVE_SETS = 300
ROWS = 20_000
SEEN_IN = """select task_id::text from tracking_events
where global_id = $1 and ($2::text[] is null or environment_id = any($2))
order by media_time desc limit 1"""
EVENTS = """select media_time, camera_id, x1, y1, x2, y2, map_x, map_y from tracking_events
where task_id = $1 and global_id = $2 order by media_time desc limit $3"""
PATH = """select media_time, map_x, map_y, speed_mps from trajectories
where task_id = $1 and global_id = $2 order by media_time desc limit $3"""
BEGAN = "select first_seen from persons where task_id = $1 and global_id = $2"


class PersonDetails(msgspec.Struct, frozen=True):
    """A person's way through the cameras; times are media time, durations seconds."""

    global_id: str
    task_id: str
    first_detected: datetime
    last_seen: datetime
    tracking_duration: float
    current_camera: str | None
    position_history: list[Sighting]
    movement_metrics: MovementMetrics


async def person_details(services: Services, task_id: str, global_id: str) -> PersonDetails:
    """What is stored, and the newest live sets. PersonNotFoundError when neither knows them."""
    person = parse_person_id(global_id)
    async with services.store.connection() as connection:
        events = await connection.fetch(EVENTS, UUID(task_id), person, ROWS)
        path = await connection.fetch(PATH, UUID(task_id), person, ROWS)
        began = await connection.fetchval(BEGAN, UUID(task_id), person)
    stored = [_stored_sighting(row) for row in reversed(events)]
    live = await live_sightings(services, task_id, str(person))
    newest = stored[-1].timestamp if stored else None
    sightings = stored + [s for s in live if newest is None or s.timestamp > newest]
    if not sightings:
        raise unknown_person(global_id)
    first = began or sightings[0].timestamp
    last = sightings[-1].timestamp
    points = [FloorPoint(*row) for row in reversed(path)]
    return PersonDetails(
        global_id=str(person),
        task_id=task_id,
        first_detected=first,
        last_seen=last,
        tracking_duration=round((last - first).total_seconds(), 3),
        current_camera=live[-1].camera if live else None,
        position_history=thinned(sightings, HISTORY_KEPT),
        movement_metrics=movement_of([s.timestamp for s in sightings], points),
    )


async def live_sightings(services: Services, task_id: str, global_id: str) -> list[Sighting]:
    """Where a person was in the newest live sets, oldest first; the surest camera of each set."""
    found: Any = await services.redis.xrevrange(tracks_stream(task_id), count=LIVE_SETS)
    updates = (msgspec.json.decode(f[b"json"], type=TrackingUpdate) for _, f in reversed(found))
    sightings = (sighting_in(update, global_id) for update in updates)
    return [s for s in sightings if s is not None]


def sighting_in(update: TrackingUpdate, global_id: str) -> Sighting | None:
    """The person in one set, from the camera that is surest of the place."""
    seen = [
        (float("inf") if t.map_uncertainty_m is None else t.map_uncertainty_m, camera_id, t)
        for camera_id, view in update.cameras.items()
        for t in view.tracks
        if t.global_id == global_id
    ]
    if not seen:
        return None
    _, camera_id, track = min(seen, key=lambda s: s[:2])
    time = to_datetime(parse_rfc3339(update.timestamp_media_utc))
    return Sighting(time, camera_id, track.bbox_xyxy, track.map_coords)


async def task_of_person(
    services: Services, global_id: str, environments: tuple[str, ...] | None
) -> str:
    """The task that saw a person last, by media time, in the environments given (null: in any)."""
    wanted = None if environments is None else list(environments)
    async with services.store.connection() as connection:
        task_id = await connection.fetchval(SEEN_IN, parse_person_id(global_id), wanted)
    if task_id is None:
        raise unknown_person(global_id)
    return str(task_id)


async def visible_task_with(
    services: Services, caller: Caller, global_id: str, task_id: str | None
) -> TaskView:
    """The task that was named, else the one in which a person was seen last; errors as those of
    visible_task, and PersonNotFoundError.
    """
    found = task_id or await task_of_person(services, global_id, caller.environments)
    return await visible_task(services, caller, found)


def parse_person_id(global_id: str) -> UUID:
    """The id as a UUID; anything else is PersonNotFoundError."""
    try:
        return UUID(global_id)
    except ValueError as error:
        raise unknown_person(global_id) from error


def unknown_person(global_id: str) -> PersonNotFoundError:
    """Nobody of that id, and where to look."""
    return PersonNotFoundError(
        f"nobody is known as {global_id!r}; GET /api/v1/tracking/active lists who is seen now"
    )


def _stored_sighting(row: Any) -> Sighting:
    time, camera_id, x1, y1, x2, y2, map_x, map_y = row
    return Sighting(time, camera_id, (x1, y1, x2, y2), None if map_x is None else (map_x, map_y))

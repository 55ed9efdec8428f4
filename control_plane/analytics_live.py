"""``/api/v1/analytics/real-time``: what is there at this moment, from the newest set of each
running task; and ``analytics/tracking``, the same people over stored time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from litestar import get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics import answers
from control_plane.analytics.answers import Answer, PlaceOccupancy
from control_plane.analytics.floor import inside_distance
from control_plane.analytics.occupancy import Dwell, merged
from control_plane.analytics.queries import stays
from control_plane.analytics_examples import TRACKING
from control_plane.analytics_places import API, ERRORS, Camera, End, Named, Start, asked
from control_plane.audit import record
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.store import TaskRow
from control_plane.task_state import read_all_progress
from control_plane.tasks import ActivePerson, persons_of
from control_plane.zones import zones_of
from homography.environment import Environment, Zone
from plugins.errors import DatabaseUnavailableError, RedisUnavailableError, UnknownEnvironmentError
from plugins.messages import TaskProgress, TrackingUpdate, tracks_stream
from plugins.plan import chosen_cameras

LIVE_ERRORS = (UnknownEnvironmentError, DatabaseUnavailableError, RedisUnavailableError)


class LiveZone(msgspec.Struct, frozen=True):
    """A zone at this moment."""

    zone_id: str
    persons: int
    capacity: int | None
    density_per_m2: float
    is_over_capacity: bool


class LiveMetrics(msgspec.Struct, frozen=True):
    """An environment at this moment. ``newest_media_time`` is null while nothing plays;
    ``staleness_s`` is how long ago that set was made, on the computer's clock.
    """

    environment_id: str
    timestamp: datetime
    newest_media_time: str | None
    staleness_s: float | None
    tasks: list[str]
    active_persons: int
    detections: int
    mean_confidence: float | None
    sets_per_s: float
    persons_per_camera: dict[str, int]
    zones: list[LiveZone]
    density_per_m2: float


class LivePersons(msgspec.Struct, frozen=True):
    """Who is there at this moment."""

    environment_id: str
    newest_media_time: str | None
    items: list[ActivePerson]
    total: int
    next_cursor: str | None = None
    has_next: bool = False


class CameraLoad(msgspec.Struct, frozen=True):
    """People in a camera's newest picture; ``load_share`` is its part of all cameras' people."""

    camera_id: str
    persons: int
    load_share: float
    fps: float | None
    is_delivering: bool


class CameraLoads(msgspec.Struct, frozen=True):
    """Every camera of an environment."""

    environment_id: str
    newest_media_time: str | None
    cameras: list[CameraLoad]


class Tracking(Answer, frozen=True, kw_only=True):
    """People over stored time: how many, and how long they were followed."""

    unique_persons: int
    presence: Dwell
    total: PlaceOccupancy
    persons_per_camera: dict[str, int]
    multi_camera_persons: int


EXAMPLE_METRICS: dict[str, Any] = {
    "environment_id": "campus",
    "timestamp": "2026-01-01T12:00:00Z",
    "newest_media_time": "2024-05-01T09:30:41.900000Z",
    "staleness_s": 0.1,
    "tasks": ["6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"],
    "active_persons": 3,
    "detections": 5,
    "mean_confidence": 0.81,
    "sets_per_s": 10.0,
    "persons_per_camera": {"c01": 3, "c02": 2},
    "zones": [{"zone_id": "entrance", "persons": 1, "capacity": 10, "density_per_m2": 0.08,
               "is_over_capacity": False}],
    "density_per_m2": 0.01,
}  # fmt: skip
EXAMPLE_LIVE: dict[str, Any] = {
    "environment_id": "campus",
    "newest_media_time": None,
    "items": [],
    "total": 0,
    "next_cursor": None,
    "has_next": False,
}
EXAMPLE_LOADS = {
    "environment_id": "campus",
    "newest_media_time": "2024-05-01T09:30:41.900000Z",
    "cameras": [
        {"camera_id": "c01", "persons": 3, "load_share": 0.6, "fps": 10.0, "is_delivering": True}
    ],
}


class Moment(msgspec.Struct, frozen=True):
    """The newest sets of an environment's running tasks."""

    updates: list[TrackingUpdate]
    rows: list[TaskRow]
    progress: list[TaskProgress]

    @property
    def newest(self) -> str | None:
        """Media time of the newest."""
        return max((u.timestamp_media_utc for u in self.updates), default=None)


async def read_moment(services: Services, environment_id: str) -> Moment:
    """What runs in an environment now. RedisUnavailableError, DatabaseUnavailableError."""
    active = await services.store.active_tasks()
    rows = [row for row in active if row.environment_id == environment_id]
    live = await read_all_progress(services.redis, [row.task_id for row in rows])
    updates = []
    for row in rows:
        newest: Any = await services.redis.xrevrange(tracks_stream(row.task_id), count=1)
        if newest:
            updates.append(msgspec.json.decode(newest[0][1][b"json"], type=TrackingUpdate))
    progress = [live.get(row.task_id) or row.progress for row in rows]
    return Moment(updates, rows, progress)


@get(f"{API}/real-time/metrics", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, LiveMetrics, EXAMPLE_METRICS, *LIVE_ERRORS))  # fmt: skip
async def live_metrics(
    services: NamedDependency[Services], caller: NamedDependency[Caller], environment_id: Named
) -> LiveMetrics:
    """How many people are where, and how busy the zones are."""
    environment = visible_environment(services, caller, environment_id)
    moment = await read_moment(services, environment_id)
    async with services.store.connection() as connection:
        zones = await zones_of(connection, environment)
    people = _people(moment)
    tracks = [t for u in moment.updates for c in u.cameras.values() for t in c.tracks]
    x0, y0, x1, y1 = environment.map_bounds_m
    per_zone = [_live_zone(zone, people) for zone in zones.values()]
    now = datetime.now(UTC)
    return LiveMetrics(
        environment_id=environment_id,
        timestamp=now,
        newest_media_time=moment.newest,
        staleness_s=_age_s(moment.updates, now),
        tasks=[row.task_id for row in moment.rows],
        active_persons=len(people),
        detections=len(tracks),
        mean_confidence=sum(t.confidence for t in tracks) / len(tracks) if tracks else None,
        sets_per_s=round(sum(p.sets_per_s for p in moment.progress), 2),
        persons_per_camera=_per_camera(environment, moment),
        zones=per_zone,
        density_per_m2=len(people) / ((x1 - x0) * (y1 - y0)),
    )


@get(f"{API}/real-time/active-persons", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, LivePersons, EXAMPLE_LIVE, *LIVE_ERRORS))  # fmt: skip
async def live_persons(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: Named,
    camera_id: Camera = None,
) -> LivePersons:
    """Everybody in the newest sets."""
    environment = visible_environment(services, caller, environment_id)
    if camera_id is not None:
        chosen_cameras(environment, [camera_id])
    moment = await read_moment(services, environment_id)
    await record(services, caller, "active-persons.read", environment_id)
    people = [p for p in _people(moment) if camera_id is None or camera_id in p.cameras]
    return LivePersons(environment_id, moment.newest, people, len(people))


@get(f"{API}/real-time/camera-loads", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, CameraLoads, EXAMPLE_LOADS, *LIVE_ERRORS))  # fmt: skip
async def camera_loads(
    services: NamedDependency[Services], caller: NamedDependency[Caller], environment_id: Named
) -> CameraLoads:
    """People per camera at this moment."""
    environment = visible_environment(services, caller, environment_id)
    moment = await read_moment(services, environment_id)
    persons = _per_camera(environment, moment)
    total = sum(persons.values())
    states = {c: s for p in moment.progress for c, s in p.cameras.items()}
    delivering = {c for u in moment.updates for c in u.cameras}
    loads = [
        CameraLoad(
            camera_id,
            count,
            round(count / total, 4) if total else 0.0,
            states[camera_id].fps if camera_id in states else None,
            camera_id in delivering,
        )
        for camera_id, count in persons.items()
    ]
    return CameraLoads(environment_id, moment.newest, loads)


@get(f"{API}/tracking", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Tracking, TRACKING, *ERRORS))  # fmt: skip
async def tracking(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    start_time: Start = None,
    end_time: End = None,
    camera_id: Camera = None,
) -> Tracking:
    """People over stored time: how many, how long, in how many cameras."""
    asking = asked(services, caller, environment_id, start_time, end_time, camera_id=camera_id)
    async with asking as (connection, scope):
        seen = await stays(connection, scope, "camera", camera_id)
    present = merged([stay for own in seen.values() for stay in own])
    cameras: dict[str, set[str]] = {}
    for camera, own in seen.items():
        for stay in own:
            cameras.setdefault(stay.global_id, set()).add(camera)
    total = answers.place(scope, None, present, answers.bucket_width(scope, None))
    return Tracking(
        **answers.basis(scope),
        unique_persons=total.unique_persons,
        presence=total.dwell,
        total=total,
        persons_per_camera={c: len({s.global_id for s in own}) for c, own in seen.items()},
        multi_camera_persons=sum(len(own) > 1 for own in cameras.values()),
    )


def _people(moment: Moment) -> list[ActivePerson]:
    return [person for update in moment.updates for person in persons_of(update)]


def _per_camera(environment: Environment, moment: Moment) -> dict[str, int]:
    counts = {camera.camera_id: 0 for camera in environment.cameras}
    for update in moment.updates:
        for camera_id, count in update.person_count_per_camera.items():
            counts[camera_id] = counts.get(camera_id, 0) + count
    return counts


def _live_zone(zone: Zone, people: Sequence[ActivePerson]) -> LiveZone:
    points = [p.map_coords for p in people if p.map_coords is not None]
    count = 0
    if points:
        array = np.array(points, dtype=np.float64)
        count = int((inside_distance(array, zone.polygon_m) > 0).sum())
    is_over = zone.capacity is not None and count > zone.capacity
    density = round(answers.density(zone, count), 4)
    return LiveZone(zone.zone_id, count, zone.capacity, density, is_over)


def _age_s(updates: Sequence[TrackingUpdate], now: datetime) -> float | None:
    made = [datetime.fromisoformat(u.timestamp_processed_utc) for u in updates]
    return round((now - max(made)).total_seconds(), 3) if made else None


HANDLERS: list[ControllerRouterHandler] = [live_metrics, live_persons, camera_loads, tracking]

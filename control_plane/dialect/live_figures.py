"""``analytics/real-time`` and ``analytics/system/statistics`` as the frontend reads them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler

from control_plane import analytics_live
from control_plane.access.callers import Caller
from control_plane.analytics_live import Moment, read_moment
from control_plane.audit import record
from control_plane.dialect.dashboard import ANALYTICS, FRONTEND
from control_plane.errors import documented
from control_plane.health.performance import Performance, read_performance
from control_plane.identity.person_details import sighting_in
from control_plane.services import Services
from control_plane.store import Store
from control_plane.tasks import persons_of
from control_plane.zones import visible
from homography.environment import Environment
from plugins.errors import (
    DatabaseUnavailableError,
    RedisUnavailableError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.media_time import parse_rfc3339, to_datetime
from plugins.messages import Track, TrackingUpdate
from plugins.plan import chosen_cameras

TAG = "frontend"
FIRST_SEEN = """select global_id::text, min(first_seen) as first_seen from persons
where global_id = any($1::uuid[]) group by 1"""
TOTALS = """select coalesce(sum(m.detections), 0)::bigint
from camera_minutes m join tasks t using (task_id)
where $1::text[] is null or t.environment_id = any($1)"""
OneEnvironment = FromQuery[str | None]


class Machine(msgspec.Struct, frozen=True):
    """``processing_latency`` is the slowest task's median from a set's arrival to its publishing,
    in seconds; ``memory_usage`` the share of the machine's memory, 0..1. Cache hits and errors are
    not counted.
    """

    cache_hit_rate: float | None
    memory_usage: float | None
    processing_latency: float | None
    error_rate: float | None


class Metrics(msgspec.Struct, frozen=True):
    """Of this moment. ``detection_rate`` is per second; ``camera_loads`` people per camera."""

    timestamp: datetime
    active_persons: int
    detection_rate: float
    average_confidence: float | None
    camera_loads: dict[str, int]
    performance_metrics: Machine
    total_cameras: int


class MetricsAnswer(msgspec.Struct, frozen=True):
    """Of this moment."""

    status: Literal["success"]
    data: Metrics
    timestamp: datetime


class SeenPerson(msgspec.Struct, frozen=True):
    """A person in the newest sets; times are media time, ``track_duration`` seconds since first
    detected.
    """

    global_id: str
    current_camera_id: str
    first_detected_at: datetime
    last_seen_at: datetime
    confidence_score: float
    track_duration: float


class SeenPersons(msgspec.Struct, frozen=True):
    """Who is there; the filters are null where none was given."""

    active_persons: list[SeenPerson]
    total_count: int
    camera_id: str | None
    environment_id: str | None


class SeenAnswer(msgspec.Struct, frozen=True):
    """Who is there."""

    status: Literal["success"]
    data: SeenPersons
    timestamp: datetime


class Loads(msgspec.Struct, frozen=True):
    """People in each camera's newest picture."""

    cameras: dict[str, int]


class Statistics(msgspec.Struct, frozen=True):
    """``total_processed`` is how many detections are stored and counted, ``uptime`` seconds since
    this process began.
    """

    total_processed: int
    uptime: float
    active_tasks: int
    sets_per_s: float
    dropped_sets: int
    database_service: dict[str, str]
    last_updated: datetime


class StatisticsAnswer(msgspec.Struct, frozen=True):
    """The system."""

    status: Literal["success"]
    data: Statistics
    timestamp: datetime


NOW = "2026-01-01T12:00:00Z"
EXAMPLE_METRICS: dict[str, Any] = {
    "status": "success",
    "data": {
        "timestamp": NOW,
        "active_persons": 3,
        "detection_rate": 50.0,
        "average_confidence": 0.81,
        "camera_loads": {"c01": 3, "c02": 2},
        "performance_metrics": {
            "cache_hit_rate": None,
            "memory_usage": 0.31,
            "processing_latency": 0.074,
            "error_rate": None,
        },
        "total_cameras": 4,
    },
    "timestamp": NOW,
}
EXAMPLE_SEEN: dict[str, Any] = {
    "status": "success",
    "data": {"active_persons": [], "total_count": 0, "camera_id": None, "environment_id": None},
    "timestamp": NOW,
}
EXAMPLE_STATISTICS: dict[str, Any] = {
    "status": "success",
    "data": {
        "total_processed": 1200,
        "uptime": 3600.0,
        "active_tasks": 1,
        "sets_per_s": 10.0,
        "dropped_sets": 0,
        "database_service": {"database": "ok", "redis": "ok"},
        "last_updated": NOW,
    },
    "timestamp": NOW,
}
LIVE_ERRORS = (
    UnknownEnvironmentError,
    UnknownCameraError,
    DatabaseUnavailableError,
    RedisUnavailableError,
)


@get(f"{FRONTEND}/real-time/metrics", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, MetricsAnswer, EXAMPLE_METRICS, *LIVE_ERRORS))  # fmt: skip
async def metrics(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: OneEnvironment = None,
) -> MetricsAnswer:
    """``GET analytics/real-time/metrics`` of the frontend: one environment, or all together."""
    places = visible(services, caller, environment_id)
    moments = [await read_moment(services, place.environment_id) for place in places]
    tracks = [t for m in moments for u in m.updates for c in u.cameras.values() for t in c.tracks]
    loads = await _loads(services, caller, places)
    now = datetime.now(UTC)
    data = Metrics(
        timestamp=now,
        active_persons=sum(len(persons_of(u)) for m in moments for u in m.updates),
        detection_rate=round(sum(map(_rate, moments)), 3),
        average_confidence=_mean([track.confidence for track in tracks]),
        camera_loads=loads,
        performance_metrics=_machine(await read_performance(services, caller)),
        total_cameras=sum(len(place.cameras) for place in places),
    )
    return MetricsAnswer("success", data, now)


@get(f"{FRONTEND}/real-time/active-persons", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, SeenAnswer, EXAMPLE_SEEN, *LIVE_ERRORS))  # fmt: skip
async def active_persons(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: OneEnvironment = None,
    camera_id: OneEnvironment = None,
) -> SeenAnswer:
    """``GET analytics/real-time/active-persons`` of the frontend."""
    places = visible(services, caller, environment_id)
    if camera_id is not None and environment_id is not None:
        chosen_cameras(places[0], [camera_id])
    await record(services, caller, "active-persons.read", environment_id or "all")
    updates = [
        update
        for place in places
        for update in (await read_moment(services, place.environment_id)).updates
    ]
    began = await _began(services.store, updates)
    persons = [
        seen
        for update in updates
        for person in persons_of(update)
        if camera_id is None or camera_id in person.cameras
        for seen in _seen(update, person.global_id, began)
    ]
    data = SeenPersons(persons, len(persons), camera_id, environment_id)
    return SeenAnswer("success", data, datetime.now(UTC))


@get(f"{FRONTEND}/real-time/camera-loads", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, Loads, Loads({"c01": 3, "c02": 2}), *LIVE_ERRORS))  # fmt: skip
async def camera_loads(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: OneEnvironment = None,
) -> Loads:
    """``GET analytics/real-time/camera-loads`` of the frontend."""
    return Loads(await _loads(services, caller, visible(services, caller, environment_id)))


@get(f"{ANALYTICS}/system/statistics", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, StatisticsAnswer, EXAMPLE_STATISTICS,
                          DatabaseUnavailableError))  # fmt: skip
async def statistics(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> StatisticsAnswer:
    """How much is stored, how long the system is up, and how busy it is."""
    figures = await read_performance(services, caller)
    mine = None if caller.environments is None else list(caller.environments)
    async with services.store.connection() as connection:
        total = await connection.fetchval(TOTALS, mine)
    probed = {name: await services.probes[name]() for name in ("database", "redis")}
    now = datetime.now(UTC)
    data = Statistics(
        total_processed=total,
        uptime=round(time.monotonic() - services.started_s, 1),
        active_tasks=len(figures.tasks),
        sets_per_s=figures.sets_per_s,
        dropped_sets=figures.dropped,
        database_service={name: component.status for name, component in probed.items()},
        last_updated=now,
    )
    return StatisticsAnswer("success", data, now)


def _mean(values: list[float], digits: int = 4) -> float | None:
    return round(sum(values) / len(values), digits) if values else None


def _rate(moment: Moment) -> float:
    """Detections a second: those of the newest sets, at the rate of the sets."""
    by_task = {
        row.task_id: p.sets_per_s for row, p in zip(moment.rows, moment.progress, strict=True)
    }
    rate_hz = sum(by_task.values()) / max(len(by_task), 1)
    counts = [sum(u.person_count_per_camera.values()) for u in moment.updates]
    return sum(counts) * rate_hz


def _machine(figures: Performance) -> Machine:
    path_ms = figures.stage_ms.get("arrival_to_publish", {}).get("p50")
    latency_s = None if path_ms is None else round(path_ms / 1000, 4)
    return Machine(None, figures.memory_usage, latency_s, None)


async def _loads(services: Services, caller: Caller, places: list[Environment]) -> dict[str, int]:
    loads: dict[str, int] = {}
    for place in places:
        answer = await analytics_live.camera_loads.fn(
            services=services, caller=caller, environment_id=place.environment_id
        )
        loads |= {camera.camera_id: camera.persons for camera in answer.cameras}
    return loads


async def _began(store: Store, updates: list[TrackingUpdate]) -> dict[str, datetime]:
    """When each person was first seen, of those who are stored already."""
    ids = [UUID(person.global_id) for update in updates for person in persons_of(update)]
    async with store.connection() as connection:
        rows = await connection.fetch(FIRST_SEEN, ids)
    return {row["global_id"]: row["first_seen"] for row in rows}


def _seen(update: TrackingUpdate, global_id: str, began: dict[str, datetime]) -> list[SeenPerson]:
    sighting = sighting_in(update, global_id)
    if sighting is None:
        return []
    tracks = [t for c in update.cameras.values() for t in c.tracks if t.global_id == global_id]
    first = min(
        [began.get(global_id, sighting.timestamp), *(_track_began(update, t) for t in tracks)]
    )
    [shown] = [t for t in update.cameras[sighting.camera].tracks if t.global_id == global_id][:1]
    return [
        SeenPerson(
            global_id,
            sighting.camera,
            first,
            sighting.timestamp,
            shown.confidence,
            round((sighting.timestamp - first).total_seconds(), 3),
        )
    ]


def _track_began(update: TrackingUpdate, track: Track) -> datetime:
    now = to_datetime(parse_rfc3339(update.timestamp_media_utc))
    return now - timedelta(seconds=track.tracking_duration)


HANDLERS: list[ControllerRouterHandler] = [metrics, active_persons, camera_loads, statistics]

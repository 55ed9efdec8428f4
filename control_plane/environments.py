"""``/api/v1/environments``: the places, their cameras, zones and recordings.

These small collections are unpaged and keep their own names (``environments``, ``cameras`` …).
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.access.callers import Caller, visible_environment
from control_plane.date_ranges import DateRanges, date_ranges
from control_plane.errors import documented
from control_plane.services import Services
from control_plane.zones import with_stored_zones
from homography.environment import Camera, Environment
from plugins.errors import (
    DatabaseUnavailableError,
    ObjectStoreUnavailableError,
    SpotOnError,
    UnknownEnvironmentError,
)

API = "/api/v1/environments"
LIST_PATIENCE_S = 3.0


class EnvironmentSummary(msgspec.Struct, frozen=True):
    """One environment in the list. ``has_data`` is null while the object store does not answer
    or cannot be used; ``last_updated`` is when its file changed.
    """

    environment_id: str
    name: str
    environment_type: str
    description: str
    is_active: bool
    camera_count: int
    zone_count: int
    has_data: bool | None
    last_updated: datetime | None


class EnvironmentList(msgspec.Struct, frozen=True):
    """All environments; ``problems`` are the files that could not be used."""

    environments: list[EnvironmentSummary]
    problems: list[str]


class CameraInfo(msgspec.Struct, frozen=True):
    """One camera. ``position_m`` is where it hangs on the map, null when that is not known."""

    camera_id: str
    name: str
    location: str
    is_active: bool
    resolution: str
    width: int
    height: int
    fps: float
    has_homography: bool
    position_m: tuple[float, float] | None
    warnings: list[str]


class CameraList(msgspec.Struct, frozen=True):
    """The cameras of an environment."""

    cameras: list[CameraInfo]


class ZoneInfo(msgspec.Struct, frozen=True):
    """One zone; ``coordinates`` are its corners in metres."""

    zone_id: str
    name: str
    zone_type: str
    coordinates: list[tuple[float, float]]
    capacity: int | None


class ZoneList(msgspec.Struct, frozen=True):
    """The zones of an environment."""

    zones: list[ZoneInfo]


class EnvironmentDetail(msgspec.Struct, frozen=True):
    """Everything about one environment; ``map_bounds_m`` is x0, y0, x1, y1."""

    environment_id: str
    name: str
    environment_type: str
    description: str
    timezone: str
    recording_start: datetime
    rate_hz: float
    object_store_prefix: str
    map_bounds_m: tuple[float, float, float, float]
    cameras: list[CameraInfo]
    zones: list[ZoneInfo]


EXAMPLE_CAMERA: dict[str, Any] = {
    "camera_id": "c01",
    "name": "Entrance",
    "location": "north wall",
    "is_active": True,
    "resolution": "1920x1080",
    "width": 1920,
    "height": 1080,
    "fps": 10.0,
    "has_homography": True,
    "position_m": [2.1, 14.8],
    "warnings": [],
}
EXAMPLE_ZONE: dict[str, Any] = {
    "zone_id": "entrance",
    "name": "Entrance",
    "zone_type": "entrance",
    "coordinates": [[0, 0], [4, 0], [4, 3], [0, 3]],
    "capacity": 10,
}
EXAMPLE_SUMMARY: dict[str, Any] = {
    "environment_id": "campus",
    "name": "Campus",
    "environment_type": "campus",
    "description": "Four outdoor cameras",
    "is_active": True,
    "camera_count": 4,
    "zone_count": 3,
    "has_data": True,
    "last_updated": "2026-01-01T12:00:00Z",
}
EXAMPLE_DETAIL: dict[str, Any] = {
    "environment_id": "campus",
    "name": "Campus",
    "environment_type": "campus",
    "description": "Four outdoor cameras",
    "timezone": "UTC",
    "recording_start": "2024-05-01T09:00:00Z",
    "rate_hz": 10.0,
    "object_store_prefix": "video_s37",
    "map_bounds_m": [0, 0, 20, 15],
    "cameras": [EXAMPLE_CAMERA],
    "zones": [EXAMPLE_ZONE],
}
EXAMPLE_DATES: dict[str, Any] = {
    "earliest_date": "2024-05-01T09:00:00.000000Z",
    "latest_date": "2024-05-01T10:00:00.000000Z",
    "total_days": 0.042,
    "has_data": True,
    "data_gaps": [],
    "cameras": {
        "c01": {
            "has_data": True,
            "start": "2024-05-01T09:00:00.000000Z",
            "end": "2024-05-01T10:00:00.000000Z",
            "gaps": [],
            "problems": [],
        }
    },
}
EnvironmentId = Annotated[str, PathParameter(description="such as campus", max_length=64)]


@get(
    API,
    opt={"role": "viewer"},
    tags=["environments"],
    responses=documented(200, EnvironmentList, {"environments": [EXAMPLE_SUMMARY], "problems": []}),
)
async def list_environments(
    services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> EnvironmentList:
    """All environments the caller may see, those that users added by a file included."""
    known = services.catalogue.environments.values()
    environments = [e for e in known if caller.may_see(e.environment_id)]
    summaries = await asyncio.gather(*(_summary(services, e) for e in environments))
    problems = [f"{p.path.name}: {p.message}" for p in services.catalogue.problems]
    if caller.environments is not None:
        problems = []  # they would name environments that the caller may not see
    return EnvironmentList(list(summaries), problems)


@get(
    f"{API}/{{environment_id:str}}",
    opt={"role": "viewer"},
    tags=["environments"],
    responses=documented(200, EnvironmentDetail, EXAMPLE_DETAIL, UnknownEnvironmentError),
)
async def environment_detail(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> EnvironmentDetail:
    """One environment: map, cameras and zones."""
    environment = visible_environment(services, caller, environment_id)
    return EnvironmentDetail(
        environment_id=environment.environment_id,
        name=environment.name,
        environment_type=environment.environment_type,
        description=environment.description,
        timezone=environment.timezone,
        recording_start=environment.recording_start,
        rate_hz=environment.rate_hz,
        object_store_prefix=environment.object_store_prefix,
        map_bounds_m=environment.map_bounds_m,
        cameras=camera_infos(environment),
        zones=zone_infos(environment),
    )


@get(
    f"{API}/{{environment_id:str}}/cameras",
    opt={"role": "viewer"},
    tags=["environments"],
    responses=documented(200, CameraList, {"cameras": [EXAMPLE_CAMERA]}, UnknownEnvironmentError),
)
async def environment_cameras(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> CameraList:
    """The cameras of an environment."""
    return CameraList(camera_infos(visible_environment(services, caller, environment_id)))


@get(
    f"{API}/{{environment_id:str}}/zones",
    opt={"role": "viewer"},
    tags=["environments"],
    responses=documented(
        200,
        ZoneList,
        {"zones": [EXAMPLE_ZONE]},
        UnknownEnvironmentError,
        DatabaseUnavailableError,
    ),
)
async def environment_zones(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> ZoneList:
    """The zones of an environment, polygons in metres: its file's, and those made since."""
    environment = visible_environment(services, caller, environment_id)
    return ZoneList(zone_infos(await with_stored_zones(services, environment)))


@get(
    f"{API}/{{environment_id:str}}/date-ranges",
    opt={"role": "viewer"},
    tags=["environments"],
    responses=documented(
        200, DateRanges, EXAMPLE_DATES, UnknownEnvironmentError, ObjectStoreUnavailableError
    ),
)
async def environment_dates(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    environment_id: EnvironmentId,
) -> DateRanges:
    """What recordings exist, per camera, with gaps and with what is wrong with them."""
    environment = visible_environment(services, caller, environment_id)
    return date_ranges(await services.recordings.read(environment))


async def _summary(services: Services, environment: Environment) -> EnvironmentSummary:
    return EnvironmentSummary(
        environment_id=environment.environment_id,
        name=environment.name,
        environment_type=environment.environment_type,
        description=environment.description,
        is_active=True,
        camera_count=len(environment.cameras),
        zone_count=len(environment.zones),
        has_data=await _has_data(services, environment),
        last_updated=_changed_at(environment),
    )


async def _has_data(services: Services, environment: Environment) -> bool | None:
    try:
        recordings = await services.recordings.read(environment, LIST_PATIENCE_S)
    except SpotOnError:  # a store that is away or set wrongly; date-ranges says which
        return None
    return any(recording.sub_videos for recording in recordings.values())


def _changed_at(environment: Environment) -> datetime | None:
    try:
        return datetime.fromtimestamp(environment.path.stat().st_mtime, UTC)
    except OSError:
        return None


def camera_infos(environment: Environment) -> list[CameraInfo]:
    """The cameras as the API shows them."""
    return [_camera_info(camera) for camera in environment.cameras]


def _camera_info(camera: Camera) -> CameraInfo:
    centre = camera.ground_plane.camera_centre_m
    return CameraInfo(
        camera_id=camera.camera_id,
        name=camera.name,
        location=camera.location,
        is_active=True,
        resolution=f"{camera.width}x{camera.height}",
        width=camera.width,
        height=camera.height,
        fps=camera.fps,
        has_homography=True,
        position_m=None if centre is None else (float(centre[0]), float(centre[1])),
        warnings=list(camera.warnings),
    )


def zone_infos(environment: Environment) -> list[ZoneInfo]:
    """The zones as the API shows them."""
    return [
        ZoneInfo(
            zone_id=zone.zone_id,
            name=zone.name,
            zone_type=zone.zone_type,
            coordinates=[(float(x), float(y)) for x, y in zone.polygon_m],
            capacity=zone.capacity,
        )
        for zone in environment.zones
    ]


HANDLERS: list[ControllerRouterHandler] = [
    list_environments,
    environment_detail,
    environment_cameras,
    environment_zones,
    environment_dates,
]

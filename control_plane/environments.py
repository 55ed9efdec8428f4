"""``/api/v1/environments``: the places, their cameras, zones and recordings.

These small collections are unpaged and keep their own names (``environments``, ``cameras`` …).
"""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from control_plane.errors import documented
from control_plane.recordings import Recordings
from control_plane.services import Services
from homography.environment import Camera, Environment
from plugins.errors import ObjectStoreUnavailableError, UnavailableError, UnknownEnvironmentError
from plugins.media.timeline import Recording
from plugins.media_time import to_rfc3339

API = "/api/v1/environments"
LIST_PATIENCE_S = 3.0
NS_PER_DAY = 86_400_000_000_000


class EnvironmentSummary(msgspec.Struct, frozen=True):
    """One environment in the list. ``has_data`` is null while the object store does not answer;
    ``last_updated`` is when its file changed.
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


class Span(msgspec.Struct, frozen=True):
    """A range of media time."""

    start: str
    end: str


class CameraGap(msgspec.Struct, frozen=True):
    """A range of media time that one camera lacks, and why."""

    start: str
    end: str
    reason: str


class CameraDates(msgspec.Struct, frozen=True):
    """What one camera has; ``problems`` names sub-videos that are missing or unreadable."""

    has_data: bool
    start: str | None
    end: str | None
    gaps: list[CameraGap]
    problems: list[str]


class DateRanges(msgspec.Struct, frozen=True):
    """What recordings exist. ``data_gaps`` are times in between when no camera has any."""

    earliest_date: str | None
    latest_date: str | None
    total_days: float
    has_data: bool
    data_gaps: list[Span]
    cameras: dict[str, CameraDates]


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
    tags=["environments"],
    responses=documented(200, EnvironmentList, {"environments": [EXAMPLE_SUMMARY], "problems": []}),
)
async def list_environments(services: NamedDependency[Services]) -> EnvironmentList:
    """All environments, those that users added by a file included."""
    environments = services.catalogue.environments.values()
    summaries = await asyncio.gather(*(_summary(services, e) for e in environments))
    problems = [f"{p.path.name}: {p.message}" for p in services.catalogue.problems]
    return EnvironmentList(list(summaries), problems)


@get(
    f"{API}/{{environment_id:str}}",
    tags=["environments"],
    responses=documented(200, EnvironmentDetail, EXAMPLE_DETAIL, UnknownEnvironmentError),
)
async def environment_detail(
    services: NamedDependency[Services], environment_id: EnvironmentId
) -> EnvironmentDetail:
    """One environment: map, cameras and zones."""
    environment = services.environment(environment_id)
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
    tags=["environments"],
    responses=documented(200, CameraList, {"cameras": [EXAMPLE_CAMERA]}, UnknownEnvironmentError),
)
async def environment_cameras(
    services: NamedDependency[Services], environment_id: EnvironmentId
) -> CameraList:
    """The cameras of an environment."""
    return CameraList(camera_infos(services.environment(environment_id)))


@get(
    f"{API}/{{environment_id:str}}/zones",
    tags=["environments"],
    responses=documented(200, ZoneList, {"zones": [EXAMPLE_ZONE]}, UnknownEnvironmentError),
)
async def environment_zones(
    services: NamedDependency[Services], environment_id: EnvironmentId
) -> ZoneList:
    """The zones of an environment, polygons in metres."""
    return ZoneList(zone_infos(services.environment(environment_id)))


@get(
    f"{API}/{{environment_id:str}}/date-ranges",
    tags=["environments"],
    responses=documented(
        200, DateRanges, EXAMPLE_DATES, UnknownEnvironmentError, ObjectStoreUnavailableError
    ),
)
async def environment_dates(
    services: NamedDependency[Services], environment_id: EnvironmentId
) -> DateRanges:
    """What recordings exist, per camera, with gaps and with what is wrong with them."""
    environment = services.environment(environment_id)
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
    except UnavailableError:
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


def date_ranges(recordings: Recordings) -> DateRanges:
    """Joins the cameras' recordings into one answer."""
    cameras = {camera_id: _camera_dates(r) for camera_id, r in recordings.items()}
    covered = _joined([span for r in recordings.values() for span in _covered(r)])
    if not covered:
        return DateRanges(None, None, 0.0, False, [], cameras)
    first, last = covered[0][0], covered[-1][1]
    gaps = [(end, start) for (_, end), (start, _) in pairwise(covered)]
    return DateRanges(
        earliest_date=to_rfc3339(first),
        latest_date=to_rfc3339(last),
        total_days=round((last - first) / NS_PER_DAY, 6),
        has_data=True,
        data_gaps=_spans(gaps),
        cameras=cameras,
    )


def _camera_dates(recording: Recording) -> CameraDates:
    has_data = bool(recording.sub_videos)
    return CameraDates(
        has_data=has_data,
        start=to_rfc3339(recording.start_ns) if has_data else None,
        end=to_rfc3339(recording.end_ns) if has_data else None,
        gaps=[
            CameraGap(to_rfc3339(gap.start_ns), to_rfc3339(gap.end_ns), gap.reason)
            for gap in recording.gaps
        ],
        problems=list(recording.problems),
    )


def _spans(ranges: list[tuple[int, int]]) -> list[Span]:
    return [Span(to_rfc3339(start), to_rfc3339(end)) for start, end in ranges]


def _covered(recording: Recording) -> list[tuple[int, int]]:
    """What is recorded: the whole less the gaps."""
    if not recording.sub_videos:
        return []
    spans, start = [], recording.start_ns
    for gap in sorted(recording.gaps, key=lambda gap: gap.start_ns):
        spans.append((start, gap.start_ns))
        start = max(start, gap.end_ns)
    return [*spans, (start, recording.end_ns)]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


HANDLERS: list[ControllerRouterHandler] = [
    list_environments,
    environment_detail,
    environment_cameras,
    environment_zones,
    environment_dates,
]

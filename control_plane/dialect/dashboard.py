"""``analytics/dashboard`` as the frontend reads it: a window of hours up to what is stored."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane import analytics_examples, analytics_places
from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics.answers import Heatmap, PlaceOccupancy
from control_plane.analytics.dashboard import (
    CameraFigures,
    Dashboard,
    Detections,
    Summary,
    TrendPoint,
)
from control_plane.analytics.flow import Movement
from control_plane.analytics_places import ERRORS, Named, opened
from control_plane.errors import documented
from control_plane.services import Services

ANALYTICS = "/api/v1/analytics"
FRONTEND = "/api/v1/frontend"  # what ``dialect`` routes the shared paths of ANALYTICS to
TAG = "frontend"
DAY_S = 86_400
Hours = Annotated[int, QueryParameter(ge=1, le=24 * 366, description="hours of media time")]
Days = Annotated[int, QueryParameter(ge=1, le=366, description="days in the uptime trend")]


class Totals(msgspec.Struct, frozen=True):
    """The window at a glance. ``uptime_delta_percent`` is against the window before."""

    total_detections: int
    average_confidence_percent: float | None
    system_uptime_percent: float | None
    uptime_delta_percent: float | None
    total_cameras: int


class CameraTotals(msgspec.Struct, frozen=True):
    """One camera in the window."""

    camera_id: str
    detections: int
    unique_entities: int
    average_confidence_percent: float | None
    uptime_percent: float | None


class Count(msgspec.Struct, frozen=True):
    """Detections from ``timestamp`` to the next."""

    timestamp: datetime
    detections: int


class Confidence(msgspec.Struct, frozen=True):
    """Their mean confidence."""

    timestamp: datetime
    confidence_percent: float | None


class Uptime(msgspec.Struct, frozen=True):
    """A day: of all pictures that were due, how many came."""

    date: str
    uptime_percent: float | None


class Charts(msgspec.Struct, frozen=True):
    """Over time."""

    detections_per_bucket: list[Count]
    average_confidence_trend: list[Confidence]
    uptime_trend: list[Uptime]


class ZoneDwell(msgspec.Struct, frozen=True):
    """How long people stay in a zone, in seconds."""

    zone_id: str
    name: str
    visits: int
    average_seconds: float | None
    longest_seconds: float | None


class DwellTimes(msgspec.Struct, frozen=True):
    """In the whole environment and zone by zone."""

    average_seconds: float | None
    zones: list[ZoneDwell]


class PersonStatistics(msgspec.Struct, frozen=True):
    """People in the window."""

    unique_persons: int
    average_occupancy: float
    peak_occupancy: int


class Board(msgspec.Struct, frozen=True):
    """``notes`` say which stretch of media time this is, and what of it is missing."""

    generated_at: datetime
    summary: Totals
    cameras: list[CameraTotals]
    charts: Charts
    dwell_time: DwellTimes
    traffic_flow: list[Movement]
    heatmap: Heatmap
    person_statistics: PersonStatistics
    notes: list[str]


class BoardAnswer(msgspec.Struct, frozen=True):
    """The dashboard."""

    status: Literal["success"]
    data: Board


EXAMPLE: dict[str, Any] = {
    "status": "success",
    "data": {
        "generated_at": "2026-01-01T12:00:00Z",
        "summary": Totals(4210, 81.0, 99.2, 0.4, 4),
        "cameras": [CameraTotals("c01", 4210, 12, 81.0, 99.2)],
        "charts": {
            "detections_per_bucket": [{"timestamp": "2024-05-01T08:00:00Z", "detections": 4210}],
            "average_confidence_trend": [
                {"timestamp": "2024-05-01T08:00:00Z", "confidence_percent": 81.0}
            ],
            "uptime_trend": [Uptime("2024-05-01", 99.2)],
        },
        "dwell_time": DwellTimes(21.5, [ZoneDwell("entrance", "Entrance", 14, 21.5, 61.2)]),
        "traffic_flow": [analytics_examples.MOVEMENT],
        "heatmap": analytics_examples.HEATMAP,
        "person_statistics": PersonStatistics(12, 1.4, 4),
        "notes": ["the newest 0 s of it are not counted yet"],
    },
}


@get(f"{FRONTEND}/dashboard", tags=[TAG], opt={"role": "viewer"},
     responses=documented(200, BoardAnswer, EXAMPLE, *ERRORS))  # fmt: skip
async def dashboard(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    window_hours: Hours = 24,
    uptime_days: Days = 7,
) -> BoardAnswer:
    """``GET analytics/dashboard`` of the frontend. The window ends with what is stored: recordings
    are older than the day that somebody looks at them.
    """
    environment = visible_environment(services, caller, environment_id)
    async with opened(services, environment, None, None) as (_, scope):
        end = None if scope.range is None else scope.range.end_time
    window = timedelta(hours=window_hours)

    async def ask(handler: Any, length: timedelta, skipped: timedelta, **more: Any) -> Any:
        times = {} if end is None else _times(end - skipped, length)
        who = {"services": services, "caller": caller, "environment_id": environment_id}
        return await handler.fn(**who, **times, **more)

    now: Dashboard = await ask(analytics_places.whole_dashboard, window, timedelta())
    summary: Summary = await ask(analytics_places.historical_summary, window, timedelta())
    before: Summary = await ask(analytics_places.historical_summary, window, window)
    days: Detections = await ask(
        analytics_places.detections, timedelta(days=uptime_days), timedelta(), bucket_s=DAY_S
    )
    return BoardAnswer("success", _board(now, summary, before.uptime_percent, days))


def _times(end: datetime, length: timedelta) -> dict[str, datetime]:
    return {"start_time": end - length, "end_time": end}


def _board(
    now: Dashboard, summary: Summary, uptime_before: float | None, days: Detections
) -> Board:
    found = now.detections
    return Board(
        generated_at=datetime.now(UTC),
        summary=Totals(
            found.total_detections,
            _percent(found.mean_confidence),
            summary.uptime_percent,
            _difference(summary.uptime_percent, uptime_before),
            len(found.cameras),
        ),
        cameras=[_camera(camera) for camera in found.cameras],
        charts=_charts(found.series, days.series),
        dwell_time=_dwell(now.occupancy.total, now.occupancy.zones),
        traffic_flow=now.movements,
        heatmap=now.heatmap,
        person_statistics=PersonStatistics(
            now.unique_persons, now.occupancy.total.mean, now.occupancy.total.peak
        ),
        notes=_notes(now),
    )


def _camera(camera: CameraFigures) -> CameraTotals:
    return CameraTotals(
        camera.camera_id,
        camera.detections,
        camera.unique_persons,
        _percent(camera.mean_confidence),
        camera.uptime_percent,
    )


def _charts(series: list[TrendPoint], days: list[TrendPoint]) -> Charts:
    return Charts(
        [Count(p.timestamp, p.detections) for p in series],
        [Confidence(p.timestamp, _percent(p.mean_confidence)) for p in series],
        [Uptime(p.timestamp.date().isoformat(), p.uptime_percent) for p in days],
    )


def _dwell(total: PlaceOccupancy, zones: list[PlaceOccupancy]) -> DwellTimes:
    places = [
        ZoneDwell(
            zone.zone_id or "", zone.name, zone.entries, zone.dwell.mean_s, zone.dwell.longest_s
        )
        for zone in zones
    ]
    return DwellTimes(total.dwell.mean_s, places)


def _notes(now: Dashboard) -> list[str]:
    if now.range is None or not now.coverage.has_data:
        return ["nothing is stored for this window"]
    start, end = now.range.start_time.isoformat(), now.range.end_time.isoformat()
    return [
        f"media time {start} to {end}, of which {100 * now.coverage.share:.1f} % is stored",
        f"the newest {now.staleness_s or 0.0:g} s of it are not counted yet",
    ]


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 2)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


HANDLERS: list[ControllerRouterHandler] = [dashboard]

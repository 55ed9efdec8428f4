"""``/api/v1/analytics``: what was where, how many, how long. Definitions: docs/analytics.md."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from control_plane import analytics_examples as examples
from control_plane.access.callers import Caller, visible_environment
from control_plane.analytics import answers, dashboard
from control_plane.analytics.answers import Flow, Heatmap, Occupancy, Paths, ZoneOccupancy
from control_plane.analytics.dashboard import Comparison, Dashboard, Detections, Summary
from control_plane.analytics.scope import Scope, checked_range, open_scope
from control_plane.errors import ZoneNotFoundError, documented
from control_plane.services import Services
from control_plane.zones import ZoneId, find_zone, visible, zones_of
from homography.environment import Environment, Zone
from plugins.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    InvalidTimeRangeError,
    UnknownCameraError,
    UnknownEnvironmentError,
)
from plugins.plan import chosen_cameras

API = "/api/v1/analytics"
EnvironmentId = Annotated[str, PathParameter(description="such as campus", max_length=64)]
Named = Annotated[str, QueryParameter(description="id of the environment", max_length=64)]
Start = Annotated[
    datetime | None, QueryParameter(description="media time from, RFC 3339; default: all stored")
]
End = Annotated[datetime | None, QueryParameter(description="media time to, excluded")]
Camera = Annotated[str | None, QueryParameter(description="only this camera", max_length=64)]
OneZone = Annotated[str | None, QueryParameter(description="only this zone", max_length=64)]
BucketS = Annotated[
    int | None, QueryParameter(ge=10, le=86_400 * 31, description="seconds; default: by the range")
]
CellM = Annotated[float, QueryParameter(ge=0.5, le=20, description="a multiple of 0.5 metres")]
ERRORS = (
    UnknownEnvironmentError,
    UnknownCameraError,
    ZoneNotFoundError,
    InvalidTimeRangeError,
    InvalidInputError,
    DatabaseUnavailableError,
)


@asynccontextmanager
async def opened(
    services: Services,
    environment: Environment,
    start: datetime | None,
    end: datetime | None,
    camera_id: str | None = None,
) -> AsyncIterator[tuple[Any, Scope]]:
    """A connection whose queries all see the same moment, and what is asked about."""
    checked_range(start, end)
    if camera_id is not None:
        chosen_cameras(environment, [camera_id])
    async with (
        services.store.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection, await open_scope(connection, environment, start, end)


def asked(
    services: Services,
    caller: Caller,
    environment_id: str,
    start: datetime | None,
    end: datetime | None,
    *,
    camera_id: str | None = None,
) -> AbstractAsyncContextManager[tuple[Any, Scope]]:
    """As opened, of an environment the caller may see; UnknownEnvironmentError for any other."""
    environment = visible_environment(services, caller, environment_id)
    return opened(services, environment, start, end, camera_id)


@get(f"{API}/occupancy", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Occupancy, examples.OCCUPANCY, *ERRORS))  # fmt: skip
async def occupancy(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    start_time: Start = None,
    end_time: End = None,
    zone_id: OneZone = None,
    bucket_s: BucketS = None,
) -> Occupancy:
    """People over time, in the whole environment and in each zone."""
    async with asked(services, caller, environment_id, start_time, end_time) as (connection, scope):
        zones = await zones_of(connection, scope.environment)
        if zone_id is not None:
            zones = {zone_id: await _zone(connection, scope.environment, zone_id)}
        return await answers.occupancy(connection, scope, zones, bucket_s)


@get(f"{API}/zones/{{zone_id:str}}/occupancy", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, ZoneOccupancy, examples.ZONE_OCCUPANCY, *ERRORS))  # fmt: skip
async def zone_occupancy(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    zone_id: ZoneId,
    environment_id: FromQuery[str | None] = None,
    start_time: Start = None,
    end_time: End = None,
    bucket_s: BucketS = None,
) -> ZoneOccupancy:
    """Entries, exits, dwell and people at once in one zone, and its alerts."""
    places = visible(services, caller, environment_id)
    async with services.store.connection() as connection:
        environment, zone = await find_zone(connection, places, zone_id)
    async with opened(services, environment, start_time, end_time) as (connection, scope):
        return await answers.zone_occupancy(connection, scope, zone, bucket_s)


@get(f"{API}/heatmap/{{environment_id:str}}", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Heatmap, examples.HEATMAP, *ERRORS))  # fmt: skip
async def heatmap(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: EnvironmentId,
    start_time: Start = None,
    end_time: End = None,
    zone_id: OneZone = None,
    camera_id: Camera = None,
    cell_m: CellM = 0.5,
) -> Heatmap:
    """Person-seconds by cell of the floor."""
    asking = asked(services, caller, environment_id, start_time, end_time, camera_id=camera_id)
    async with asking as (connection, scope):
        zone = None if zone_id is None else await _zone(connection, scope.environment, zone_id)
        return await answers.heatmap(connection, scope, cell_m, camera_id, zone)


@get(f"{API}/flow/{{environment_id:str}}", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Flow, examples.FLOW, *ERRORS))  # fmt: skip
async def flow(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: EnvironmentId,
    start_time: Start = None,
    end_time: End = None,
) -> Flow:
    """How many went from which zone to which."""
    async with asked(services, caller, environment_id, start_time, end_time) as (connection, scope):
        return await answers.flow(connection, scope)


@get(f"{API}/paths/{{environment_id:str}}", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Paths, examples.PATHS, *ERRORS))  # fmt: skip
async def paths(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: EnvironmentId,
    start_time: Start = None,
    end_time: End = None,
    camera_id: Camera = None,
) -> Paths:
    """Typical ways over the floor, and how many took them."""
    asking = asked(services, caller, environment_id, start_time, end_time, camera_id=camera_id)
    async with asking as (connection, scope):
        return await answers.paths(connection, scope, camera_id)


@get(f"{API}/detections", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Detections, examples.DETECTIONS, *ERRORS))  # fmt: skip
async def detections(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    start_time: Start = None,
    end_time: End = None,
    camera_id: Camera = None,
    bucket_s: BucketS = None,
) -> Detections:
    """Counts, confidence and uptime per camera and over time."""
    asking = asked(services, caller, environment_id, start_time, end_time, camera_id=camera_id)
    async with asking as (connection, scope):
        return await dashboard.detections(connection, scope, camera_id, bucket_s)


@get(f"{API}/historical/{{environment_id:str}}/summary", tags=["analytics"],
     opt={"role": "viewer"},
     responses=documented(200, Summary, examples.SUMMARY, *ERRORS))  # fmt: skip
async def historical_summary(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: EnvironmentId,
    start_time: Start = None,
    end_time: End = None,
) -> Summary:
    """An environment at a glance, with daily and hourly trends."""
    async with asked(services, caller, environment_id, start_time, end_time) as (connection, scope):
        zones = await zones_of(connection, scope.environment)
        return await dashboard.summary(connection, scope, zones)


@get(f"{API}/dashboard", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Dashboard, examples.DASHBOARD, *ERRORS))  # fmt: skip
async def whole_dashboard(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_id: Named,
    start_time: Start = None,
    end_time: End = None,
) -> Dashboard:
    """Detections, occupancy, flow and heat map of one environment in one answer."""
    async with asked(services, caller, environment_id, start_time, end_time) as (connection, scope):
        zones = await zones_of(connection, scope.environment)
        return await dashboard.dashboard(connection, scope, zones)


@get(f"{API}/compare", tags=["analytics"], opt={"role": "viewer"},
     responses=documented(200, Comparison, examples.COMPARISON, *ERRORS))  # fmt: skip
async def compare(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    *,
    environment_ids: Annotated[
        list[str] | None, QueryParameter(description="repeat it; default: all", max_items=50)
    ] = None,
    start_time: Start = None,
    end_time: End = None,
) -> Comparison:
    """Environments side by side, each with its own coverage."""
    places = visible(services, caller)
    if environment_ids:
        places = [visible_environment(services, caller, e) for e in dict.fromkeys(environment_ids)]
    summaries = []
    for place in places:
        async with opened(services, place, start_time, end_time) as (connection, scope):
            zones = await zones_of(connection, place)
            summaries.append(await dashboard.summary(connection, scope, zones))
    return Comparison(summaries)


async def _zone(connection: Any, environment: Environment, zone_id: str) -> Zone:
    return (await find_zone(connection, [environment], zone_id))[1]


HANDLERS: list[ControllerRouterHandler] = [
    occupancy,
    zone_occupancy,
    heatmap,
    flow,
    paths,
    detections,
    historical_summary,
    whole_dashboard,
    compare,
]

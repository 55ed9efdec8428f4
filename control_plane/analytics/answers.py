"""Questions about places over a stretch of media time, answered from stored data alone."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import numpy as np

from control_plane.analytics import queries
from control_plane.analytics.floor import CELL_M, area_m2, coarser, inside_distance
from control_plane.analytics.flow import Movement, movements
from control_plane.analytics.occupancy import (
    Dwell,
    Stay,
    buckets,
    crowded,
    dwell,
    merged,
)
from control_plane.analytics.paths import PathGroup, group_paths
from control_plane.analytics.scope import EARLIEST, Scope
from control_plane.analytics.spans import Coverage, Range
from homography.environment import Zone
from plugins.errors import InvalidInputError

BUCKETS_S = (60, 300, 900, 3600, 21_600, 86_400)
WANTED_BUCKETS = 120
MOST_BUCKETS = 3000
MOST_WAYS = 200
LONG_STAY_FACTOR = 3.0
LONG_STAY_S = 60.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer says of itself. ``range`` is null where nothing is stored and nothing was
    asked for. ``staleness_s`` is how much media time the rollups lack behind the stored sets, null
    where nothing is stored.
    """

    environment_id: str
    range: Range | None
    coverage: Coverage
    staleness_s: float | None


class TimeBucket(msgspec.Struct, frozen=True):
    """People in a place from ``timestamp`` for one bucket; ``mean`` over its time."""

    timestamp: datetime
    mean: float
    peak: int
    entries: int
    exits: int


class PlaceOccupancy(msgspec.Struct, frozen=True):
    """One place in the range. ``zone_id`` is null for the whole environment.

    ``over_capacity_s`` is null where the zone has no capacity.
    """

    zone_id: str | None
    name: str
    capacity: int | None
    unique_persons: int
    entries: int
    exits: int
    mean: float
    peak: int
    over_capacity_s: float | None
    dwell: Dwell
    series: list[TimeBucket]


class Occupancy(Answer, frozen=True, kw_only=True):
    """People over time, in the whole environment and in each zone."""

    bucket_s: int
    total: PlaceOccupancy
    zones: list[PlaceOccupancy]


class ZoneOccupancy(Answer, frozen=True, kw_only=True):
    """People over time in one zone, and the moments that were above its capacity."""

    bucket_s: int
    zone: PlaceOccupancy
    alerts: list["Alert"]


class Heatmap(Answer, frozen=True, kw_only=True):
    """Person-seconds by cell of the floor: ``person_s[row][column]``, the cell's low corner being
    ``origin_m`` + (column, row) * ``cell_m``. Whole minutes are counted.
    """

    cell_m: float
    origin_m: tuple[float, float]
    person_s: list[list[float]]
    total_person_s: float
    peak_person_s: float


class Flow(Answer, frozen=True, kw_only=True):
    """Movements between zones, most frequent first."""

    movements: list[Movement]


class Paths(Answer, frozen=True, kw_only=True):
    """Typical ways. ``persons`` is how many people's ways were compared, at most ``limit``."""

    persons: int
    limit: int
    groups: list[PathGroup]


class Alert(msgspec.Struct, frozen=True):
    """``high_occupancy``: ``count`` people where ``threshold`` may be. ``long_stay``: a stay of
    ``count`` seconds where ``threshold`` is three times the zone's 90th percentile.
    """

    type: Literal["high_occupancy", "long_stay"]
    zone: str
    count: float
    threshold: float
    start_time: datetime
    end_time: datetime
    global_id: str | None = None


def basis(scope: Scope) -> dict[str, Any]:
    """The fields of Answer."""
    return {
        "environment_id": scope.environment.environment_id,
        "range": scope.range,
        "coverage": scope.coverage,
        "staleness_s": scope.staleness_s,
    }


async def occupancy(
    connection: Any, scope: Scope, zones: Mapping[str, Zone], bucket_s: int | None = None
) -> Occupancy:
    """Everywhere and in each zone. InvalidInputError for buckets that are too many."""
    width = bucket_width(scope, bucket_s)
    by_zone = await queries.stays(connection, scope, "zone")
    seen = await queries.stays(connection, scope, "camera")
    everywhere = merged([stay for stays in seen.values() for stay in stays])
    return Occupancy(
        **basis(scope),
        bucket_s=width,
        total=place(scope, None, everywhere, width),
        zones=[place(scope, zone, by_zone.get(z, []), width) for z, zone in zones.items()],
    )


async def zone_occupancy(
    connection: Any, scope: Scope, zone: Zone, bucket_s: int | None = None
) -> ZoneOccupancy:
    """One zone, with its alerts."""
    width = bucket_width(scope, bucket_s)
    stays = (await queries.stays(connection, scope, "zone", zone.zone_id)).get(zone.zone_id, [])
    return ZoneOccupancy(
        **basis(scope),
        bucket_s=width,
        zone=place(scope, zone, stays, width),
        alerts=alerts_of(zone, stays),
    )


async def heatmap(
    connection: Any,
    scope: Scope,
    cell_m: float = CELL_M,
    camera_id: str | None = None,
    zone: Zone | None = None,
) -> Heatmap:
    """Of all people, of those a camera saw, of a zone. InvalidInputError for odd cells."""
    factor = cell_m / CELL_M
    if not 1 <= factor <= 40 or abs(factor - round(factor)) > 1e-9:
        raise InvalidInputError(f"cell_m {cell_m:g} must be a multiple of {CELL_M:g}, at most 20")
    cells = await queries.cells(connection, scope, camera_id)
    if zone is not None:
        cells = _inside(cells, zone)
    origin, grid = coarser(cells, scope.environment.map_bounds_m, cell_m)
    person_s = np.round(grid / scope.environment.rate_hz, 3)
    return Heatmap(
        **basis(scope),
        cell_m=cell_m,
        origin_m=origin,
        person_s=person_s.tolist(),
        total_person_s=round(float(person_s.sum()), 3),
        peak_person_s=float(person_s.max()),
    )


async def flow(connection: Any, scope: Scope) -> Flow:
    """Between all zones."""
    people: dict[str, list[tuple[str, float, float]]] = {}
    for zone_id, stays in (await queries.stays(connection, scope, "zone")).items():
        for stay in stays:
            own = people.setdefault(stay.global_id, [])
            own.append((zone_id, stay.start_s, stay.end_s))
    return Flow(**basis(scope), movements=movements(people))


async def paths(connection: Any, scope: Scope, camera_id: str | None = None) -> Paths:
    """Typical ways of up to MOST_WAYS people, always the same ones."""
    ways = await queries.ways(connection, scope, MOST_WAYS, camera_id)
    long = [(global_id, track.points_m) for global_id, track in ways if len(track) > 2]
    return Paths(**basis(scope), persons=len(long), limit=MOST_WAYS, groups=group_paths(long))


async def alerts(connection: Any, scope: Scope, zones: Mapping[str, Zone]) -> list[Alert]:
    """Of all zones, in order of time."""
    by_zone = await queries.stays(connection, scope, "zone")
    found = [a for z, zone in zones.items() for a in alerts_of(zone, by_zone.get(z, []))]
    return sorted(found, key=lambda a: (a.start_time, a.zone, a.type))


def alerts_of(zone: Zone, stays: list[Stay]) -> list[Alert]:
    """High occupancy against the zone's capacity; stays far longer than is usual in the zone."""
    found = []
    if zone.capacity is not None and stays:
        for start, end, count in crowded(stays, zone.capacity):
            limit = float(zone.capacity)
            found.append(
                Alert("high_occupancy", zone.zone_id, float(count), limit, at(start), at(end))
            )
    usual = dwell(stays).p90_s
    limit = max(LONG_STAY_S, LONG_STAY_FACTOR * (usual or 0.0))
    for stay in stays:
        if len(stays) >= 10 and stay.dwell_s > limit:
            times = (at(stay.start_s), at(stay.end_s))
            found.append(
                Alert("long_stay", zone.zone_id, stay.dwell_s, limit, *times, stay.global_id)
            )
    return found


def place(scope: Scope, zone: Zone | None, stays: list[Stay], width: int) -> PlaceOccupancy:
    """One place's figures; zeros where nobody was, which is not the same as no coverage."""
    series = []
    if scope.range is not None:
        start, end = scope.range.start_time.timestamp(), scope.range.end_time.timestamp()
        series = buckets(stays, start, end, width)
    seconds = 0.0 if scope.range is None else scope.range.seconds
    capacity = None if zone is None else zone.capacity
    over = None
    if capacity is not None:
        over = sum(b - a for a, b, _ in crowded(stays, capacity)) if stays else 0.0
    return PlaceOccupancy(
        zone_id=None if zone is None else zone.zone_id,
        name=scope.environment.name if zone is None else zone.name,
        capacity=capacity,
        unique_persons=len({stay.global_id for stay in stays}),
        entries=sum(stay.is_entry for stay in stays),
        exits=sum(stay.is_exit for stay in stays),
        mean=round(sum(s.end_s - s.start_s for s in stays) / seconds, 4) if seconds else 0.0,
        peak=max((bucket.peak for bucket in series), default=0),
        over_capacity_s=over,
        dwell=dwell(stays),
        series=[TimeBucket(at(b.start_s), b.mean, b.peak, b.entries, b.exits) for b in series],
    )


def density(zone: Zone, people: float) -> float:
    """Persons per square metre."""
    return people / max(area_m2(zone.polygon_m), 1e-6)


def bucket_width(scope: Scope, wanted_s: int | None) -> int:
    """Seconds: what was asked, or the first of BUCKETS_S that gives about WANTED_BUCKETS."""
    seconds = 60.0 if scope.range is None else scope.range.seconds
    if wanted_s is None:
        fitting = (b for b in BUCKETS_S if seconds / b <= WANTED_BUCKETS)
        return next(fitting, BUCKETS_S[-1])
    if seconds / wanted_s > MOST_BUCKETS:
        raise InvalidInputError(
            f"bucket_s {wanted_s} cuts {seconds:.0f} s into more than {MOST_BUCKETS} pieces: make "
            "it larger or the range shorter"
        )
    return wanted_s


def at(seconds: float) -> datetime:
    """Seconds since 1970 as a time."""
    return EARLIEST + timedelta(microseconds=round(seconds * 1e6))


def _inside(cells: list[tuple[int, int, int]], zone: Zone) -> list[tuple[int, int, int]]:
    """Cells whose centre lies in the zone."""
    if not cells:
        return cells
    centres = (np.array(cells, dtype=np.float64)[:, :2] + 0.5) * CELL_M
    kept = inside_distance(centres, zone.polygon_m) > 0
    return [cell for cell, keep in zip(cells, kept.tolist(), strict=True) if keep]

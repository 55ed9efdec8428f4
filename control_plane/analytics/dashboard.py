"""Figures per camera and over time: detections, confidence, uptime and people."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from control_plane.analytics import queries
from control_plane.analytics.answers import (
    Alert,
    Answer,
    Heatmap,
    Occupancy,
    alerts,
    basis,
    bucket_width,
    flow,
    heatmap,
    occupancy,
)
from control_plane.analytics.flow import Movement
from control_plane.analytics.scope import EARLIEST, Scope
from homography.environment import Zone


class CameraFigures(msgspec.Struct, frozen=True):
    """One camera in the range. ``uptime_percent`` is sets in which it gave a picture; null, like
    ``mean_confidence``, where there is nothing to take the mean of. ``load_share`` is its part of
    all detections, ``detections_per_set`` the mean number of people in its pictures.
    """

    camera_id: str
    detections: int
    unique_persons: int
    mean_confidence: float | None
    uptime_percent: float | None
    load_share: float | None
    detections_per_set: float | None


class TrendPoint(msgspec.Struct, frozen=True):
    """All cameras, or the one asked for, from ``timestamp`` for one bucket."""

    timestamp: datetime
    detections: int
    mean_confidence: float | None
    uptime_percent: float | None


class Detections(Answer, frozen=True, kw_only=True):
    """What the detector and the tracker found, per camera and over time. Whole minutes count."""

    bucket_s: int
    total_detections: int
    mean_confidence: float | None
    cameras: list[CameraFigures]
    series: list[TrendPoint]


class Summary(Answer, frozen=True, kw_only=True):
    """An environment at a glance."""

    unique_persons: int
    total_detections: int
    mean_confidence: float | None
    uptime_percent: float | None
    mean_occupancy: float
    peak_occupancy: int
    mean_dwell_s: float | None
    busiest_zone: str | None
    cameras: list[CameraFigures]
    daily: list[TrendPoint]
    hourly: list[TrendPoint]


class Dashboard(Answer, frozen=True, kw_only=True):
    """Everything the landing page shows."""

    detections: Detections
    occupancy: Occupancy
    movements: list[Movement]
    heatmap: Heatmap
    unique_persons: int
    alerts: list[Alert]
    uptime_trend: list[TrendPoint]


class Comparison(msgspec.Struct, frozen=True):
    """Environments side by side, each with its own coverage."""

    environments: list[Summary]


async def detections(
    connection: Any, scope: Scope, camera_id: str | None = None, bucket_s: int | None = None
) -> Detections:
    """Counts, confidence and uptime. InvalidInputError for buckets that are too many."""
    width = bucket_width(scope, bucket_s)
    found = await _rows(connection, queries.DETECTIONS, scope, width, camera_id)
    pictures = await _rows(connection, queries.PICTURES, scope, width, camera_id)
    seen = await queries.stays(connection, scope, "camera", camera_id)
    people = {c: len({s.global_id for s in stays}) for c, stays in seen.items()}
    total, confidence = _totals(found)
    known = [c.camera_id for c in scope.environment.cameras if camera_id in (None, c.camera_id)]
    return Detections(
        **basis(scope),
        bucket_s=width,
        total_detections=total,
        mean_confidence=confidence,
        cameras=[_camera(c, found, pictures, people.get(c, 0), total) for c in known],
        series=trend(found, pictures),
    )


async def summary(connection: Any, scope: Scope, zones: Mapping[str, Zone]) -> Summary:
    """One environment."""
    own = await detections(connection, scope)
    people = await occupancy(connection, scope, zones)
    busiest = max(people.zones, key=lambda z: z.unique_persons, default=None)
    return Summary(
        **basis(scope),
        unique_persons=people.total.unique_persons,
        total_detections=own.total_detections,
        mean_confidence=own.mean_confidence,
        uptime_percent=_uptime(await _rows(connection, queries.PICTURES, scope, 86_400, None)),
        mean_occupancy=people.total.mean,
        peak_occupancy=people.total.peak,
        mean_dwell_s=people.total.dwell.mean_s,
        busiest_zone=busiest.zone_id if busiest and busiest.unique_persons else None,
        cameras=own.cameras,
        daily=await _trend(connection, scope, 86_400),
        hourly=await _trend(connection, scope, 3600),
    )


async def dashboard(connection: Any, scope: Scope, zones: Mapping[str, Zone]) -> Dashboard:
    """One environment's whole page, in one look at the database."""
    people = await occupancy(connection, scope, zones)
    return Dashboard(
        **basis(scope),
        detections=await detections(connection, scope),
        occupancy=people,
        movements=(await flow(connection, scope)).movements,
        heatmap=await heatmap(connection, scope),
        unique_persons=people.total.unique_persons,
        alerts=await alerts(connection, scope, zones),
        uptime_trend=await _trend(connection, scope, 86_400),
    )


def trend(found: Sequence[Any], pictures: Sequence[Any]) -> list[TrendPoint]:
    """Rows of both queries summed over cameras, bucket by bucket."""
    times = sorted({row["bucket"] for row in (*found, *pictures)})
    points = []
    for time in times:
        total, confidence = _totals([row for row in found if row["bucket"] == time])
        uptime = _uptime([row for row in pictures if row["bucket"] == time])
        points.append(TrendPoint(time, total, confidence, uptime))
    return points


async def _trend(connection: Any, scope: Scope, width: int) -> list[TrendPoint]:
    found = await _rows(connection, queries.DETECTIONS, scope, width, None)
    return trend(found, await _rows(connection, queries.PICTURES, scope, width, None))


async def _rows(
    connection: Any, query: str, scope: Scope, width: int, camera_id: str | None
) -> list[Any]:
    bucket = timedelta(seconds=width)
    return list(await connection.fetch(query, *scope.minutes(), bucket, EARLIEST, camera_id))


def _camera(
    camera_id: str, found: Sequence[Any], pictures: Sequence[Any], people: int, total: int
) -> CameraFigures:
    own = [row for row in found if row["camera_id"] == camera_id]
    shown = [row for row in pictures if row["camera_id"] == camera_id]
    count, confidence = _totals(own)
    sets = sum(row["sets"] for row in shown)
    return CameraFigures(
        camera_id,
        count,
        people,
        confidence,
        _uptime(shown),
        round(count / total, 4) if total else None,
        round(count / sets, 4) if sets else None,
    )


def _totals(rows: Sequence[Any]) -> tuple[int, float | None]:
    count = sum(row["detections"] for row in rows)
    confidence = sum(row["confidence_sum"] for row in rows)
    return count, round(confidence / count, 4) if count else None


def _uptime(rows: Sequence[Any]) -> float | None:
    sets = sum(row["sets"] for row in rows)
    return round(100 * sum(row["frames"] for row in rows) / sets, 2) if sets else None

"""How a person has moved, from stored sightings and smoothed floor positions; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import msgspec

LONGEST_PAUSE_S = 2.0  # between sightings of a person who is still counted as there


class Sighting(msgspec.Struct, frozen=True):
    """A person in one camera: ``bbox`` in pixels, ``map_coords`` in metres."""

    timestamp: datetime
    camera: str
    bbox: tuple[float, float, float, float]
    map_coords: tuple[float, float] | None


class MovementMetrics(msgspec.Struct, frozen=True):
    """Metres, metres per second, seconds. ``dwell_time`` is how long the person was in sight of
    any camera, pauses of more than two seconds left out. Null where no floor position is known.
    """

    average_speed: float | None
    max_speed: float | None
    total_distance: float | None
    dwell_time: float


@dataclass(frozen=True, slots=True)
class FloorPoint:
    """A smoothed position: metres, and metres per second."""

    time: datetime
    x_m: float
    y_m: float
    speed_mps: float


def movement_of(times: Sequence[datetime], path: Sequence[FloorPoint]) -> MovementMetrics:
    """Metrics of sorted sightings' times and a sorted path. Distance is summed over the path's
    neighbours less than two seconds apart, and speed is distance over the time of those.
    """
    steps = [(a, b) for a, b in pairwise(path) if 0 < _seconds(a.time, b.time) <= LONGEST_PAUSE_S]
    distance_m = sum(math.dist((a.x_m, a.y_m), (b.x_m, b.y_m)) for a, b in steps)
    moving_s = sum(_seconds(a.time, b.time) for a, b in steps)
    return MovementMetrics(
        average_speed=round(distance_m / moving_s, 3) if steps else None,
        max_speed=round(max(p.speed_mps for p in path), 3) if path else None,
        total_distance=round(distance_m, 2) if path else None,
        dwell_time=round(present_s(times), 3),
    )


def present_s(times: Sequence[datetime]) -> float:
    """Seconds between sorted times, pauses left out."""
    gaps = (_seconds(a, b) for a, b in pairwise(times))
    return sum(gap for gap in gaps if gap <= LONGEST_PAUSE_S)


def thinned(sightings: Sequence[Sighting], most: int) -> list[Sighting]:
    """At most ``most`` of them, evenly, the newest always."""
    step = max(math.ceil(len(sightings) / most), 1)
    return list(sightings[::-1][::step][::-1])


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()

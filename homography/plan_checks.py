"""What can be wrong with a floor plan, its zones and what a camera sees of it."""

from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from homography.environment_file import EnvironmentEntry
from homography.ground_plane import GroundPlane

Array = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

_GRID = 41


def environment_mistakes(entry: EnvironmentEntry) -> list[str]:
    """Mistakes that make the whole environment unusable, each with its remedy."""
    x0, y0, x1, y1 = entry.map_bounds_m
    mistakes = []
    if not (np.isfinite(entry.map_bounds_m).all() and x0 < x1 and y0 < y1):
        mistakes.append("map_bounds_m must be [x0, y0, x1, y1] in metres with x0 < x1 and y0 < y1")
    if entry.recording_start.tzinfo is None:
        mistakes.append(
            "recording_start has no time zone: add Z for UTC or an offset such as +02:00"
        )
    if not _is_timezone(entry.timezone):
        mistakes.append(
            f"timezone '{entry.timezone}' is unknown: use a name such as UTC or Europe/Berlin"
        )
    return mistakes


def _is_timezone(name: str) -> bool:
    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True


def polygon_mistake(polygon_m: Array) -> str | None:
    """Why the polygon (N, 2) encloses no area that means anything, None if it does."""
    if len(polygon_m) < 3:
        return f"polygon_m has {len(polygon_m)} corners: give three or more"
    if not np.isfinite(polygon_m).all():
        return "polygon_m has a corner that is not finite: give numbers in metres"
    crossing = _first_crossing(polygon_m)
    if crossing is not None:
        return (
            f"the sides after corners {crossing[0] + 1} and {crossing[1] + 1} cross: give the"
            " corners in order around the zone"
        )
    x, y = polygon_m.T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return "polygon_m encloses no area: its corners lie on one line" if area < 1e-6 else None


def outside_of(polygon_m: Array, bounds: Bounds) -> str | None:
    """Say so where the polygon reaches over the border of the map."""
    x0, y0, x1, y1 = bounds
    low, high = polygon_m.min(axis=0), polygon_m.max(axis=0)
    if (low >= (x0, y0)).all() and (high <= (x1, y1)).all():
        return None
    if (high <= (x0, y0)).any() or (low >= (x1, y1)).any():
        return "lies outside of map_bounds_m: correct polygon_m or the bounds"
    return "reaches over map_bounds_m: correct polygon_m or the bounds"


def visible_share(plane: GroundPlane, bounds: Bounds) -> float:
    """Share (0..1) of the map's area that lies in the picture of the camera."""
    x0, y0, x1, y1 = bounds
    across, along = np.meshgrid(np.linspace(x0, x1, _GRID), np.linspace(y0, y1, _GRID))
    px = plane.to_image(np.column_stack([across.ravel(), along.ravel()]))
    size = (plane.width - 1, plane.height - 1)
    return float(((px >= 0) & (px <= size)).all(axis=1).mean())


def _first_crossing(polygon: Array) -> tuple[int, int] | None:
    count = len(polygon)
    for i in range(count):
        for j in range(i + 2, count):
            is_neighbour = i == 0 and j == count - 1
            ends = polygon[i], polygon[(i + 1) % count], polygon[j], polygon[(j + 1) % count]
            if not is_neighbour and _cross(*ends):
                return i, j
    return None


def _cross(a: Array, b: Array, c: Array, d: Array) -> bool:
    sides = (_side(a, b, c) * _side(a, b, d), _side(c, d, a) * _side(c, d, b))
    return max(sides) < 0


def _side(a: Array, b: Array, c: Array) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

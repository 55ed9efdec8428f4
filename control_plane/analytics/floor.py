"""Zones and cells of the floor, in metres."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CELL_M = 0.5
HYSTERESIS_M = 0.25


def inside_distance(points_m: Array, polygon_m: Array) -> Array:
    """Distance (N,) of points (N, 2) to a polygon's border (M, 2): positive inside, else negative.

    Even-odd rule; M >= 3 corners in order, not closed.
    """
    start, end = polygon_m, np.roll(polygon_m, -1, axis=0)
    side = end - start
    offset = points_m[:, None, :] - start
    share = (offset * side).sum(axis=2) / np.maximum((side**2).sum(axis=1), 1e-12)
    nearest = offset - np.clip(share, 0, 1)[:, :, None] * side
    distance = np.sqrt((nearest**2).sum(axis=2)).min(axis=1)
    y = points_m[:, 1, None]
    spans_y = (start[:, 1] > y) != (end[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        x_there = start[:, 0] + (y - start[:, 1]) * side[:, 0] / side[:, 1]
    crossings = (spans_y & (points_m[:, 0, None] < x_there)).sum(axis=1)
    return np.asarray(np.where(crossings % 2 == 1, distance, -distance))


def area_m2(polygon_m: Array) -> float:
    """Shoelace formula."""
    x, y = polygon_m.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def hysteresis_m(polygon_m: Array) -> float:
    """How far across the border one must be to count as inside or outside: less for small zones."""
    return min(HYSTERESIS_M, float(np.sqrt(area_m2(polygon_m))) / 8)


def coarser(
    cells: Sequence[tuple[int, int, int]],
    bounds_m: tuple[float, float, float, float],
    cell_m: float,
) -> tuple[tuple[float, float], npt.NDArray[np.int64]]:
    """Half-metre cells (x, y, samples) as a grid (rows, columns) over the map in cells of
    ``cell_m``, a multiple of CELL_M; with its origin in metres. Cells off the map are left out.
    """
    factor = round(cell_m / CELL_M)
    low = [int(np.floor(v / cell_m)) for v in bounds_m[:2]]
    high = [int(np.ceil(v / cell_m)) for v in bounds_m[2:]]
    grid = np.zeros((max(1, high[1] - low[1]), max(1, high[0] - low[0])), dtype=np.int64)
    if cells:
        table = np.array(cells, dtype=np.int64)
        column, row = table[:, 0] // factor - low[0], table[:, 1] // factor - low[1]
        fits = (column >= 0) & (column < grid.shape[1]) & (row >= 0) & (row < grid.shape[0])
        np.add.at(grid, (row[fits], column[fits]), table[fits, 2])
    return (low[0] * cell_m, low[1] * cell_m), grid

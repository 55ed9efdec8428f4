"""Ways over the floor: simplified, and gathered into groups that look alike."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

Array = npt.NDArray[np.float64]
TOLERANCE_M = 0.3
ALIKE_M = 1.5
POINTS = 24
MIN_REACH_M = 2.0


class PathGroup(msgspec.Struct, frozen=True):
    """Ways that are alike: ``path_m`` is the simplified way of the most typical one, ``share`` the
    group's part of all ways, ``spread_m`` the mean distance of its ways from the typical one.
    """

    path_m: list[tuple[float, float]]
    count: int
    share: float
    mean_length_m: float
    spread_m: float
    example_global_id: str


def simplified(points_m: Array, tolerance_m: float = TOLERANCE_M) -> Array:
    """Fewest corners (K, 2) such that no point (N, 2) is farther than the tolerance from the line.

    Source: Douglas and Peucker, "Algorithms for the reduction of the number of points", 1973.
    """
    kept = np.zeros(len(points_m), dtype=bool)
    kept[[0, -1]] = True
    stretches = [(0, len(points_m) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        away = _distance_to_segment(points_m[first + 1 : last], points_m[first], points_m[last])
        farthest = int(away.argmax())
        if away[farthest] > tolerance_m:
            middle = first + 1 + farthest
            kept[middle] = True
            stretches += [(first, middle), (middle, last)]
    return points_m[kept]


def group_paths(ways: Sequence[tuple[str, Array]]) -> list[PathGroup]:
    """``ways``: (global id, points (N, 2)). Ways that never get MIN_REACH_M from where they began
    are left out. Two ways are as far apart as their points at equal shares of their lengths are, on
    average; groups are made by average linkage cut at ALIKE_M. Direction matters. Most frequent
    first.
    """
    lengths = [length_m(points) for _, points in ways]
    long = [k for k, (_, points) in enumerate(ways) if reach_m(points) >= MIN_REACH_M]
    if not long:
        return []
    even = np.stack([evenly_spaced(ways[k][1], POINTS) for k in long])
    apart = np.hypot(*np.moveaxis(even[:, None] - even[None], -1, 0)).mean(axis=2)
    labels = _labels(apart)
    groups = []
    for label in sorted(set(labels)):
        members = np.nonzero(labels == label)[0]
        typical = members[int(apart[np.ix_(members, members)].sum(axis=0).argmin())]
        name, points = ways[long[typical]]
        groups.append(
            PathGroup(
                [(round(float(x), 3), round(float(y), 3)) for x, y in simplified(points)],
                len(members),
                len(members) / len(long),
                float(np.mean([lengths[long[m]] for m in members])),
                float(apart[typical, members].mean()),
                name,
            )
        )
    return sorted(groups, key=lambda g: (-g.count, g.example_global_id))


def evenly_spaced(points_m: Array, count: int) -> Array:
    """``count`` points (count, 2) at equal shares of a way's length."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points_m, axis=0).T))])
    wanted = np.linspace(0, along[-1], count)
    return np.column_stack([np.interp(wanted, along, points_m[:, axis]) for axis in (0, 1)])


def length_m(points_m: Array) -> float:
    """Length of the simplified way, so that noise does not add to it."""
    if len(points_m) < 2:
        return 0.0
    return float(np.hypot(*np.diff(simplified(points_m), axis=0).T).sum())


def reach_m(points_m: Array) -> float:
    """Greatest distance from where a way began."""
    return float(np.hypot(*(points_m - points_m[0]).T).max()) if len(points_m) else 0.0


def _labels(apart: Array) -> npt.NDArray[np.int32]:
    if len(apart) == 1:
        return np.ones(1, dtype=np.int32)
    tree = linkage(squareform(apart, checks=False), "average")
    return np.asarray(fcluster(tree, ALIKE_M, "distance"), dtype=np.int32)


def _distance_to_segment(points: Array, start: Array, end: Array) -> Array:
    side = end - start
    share = np.clip((points - start) @ side / max(float(side @ side), 1e-12), 0, 1)
    return np.asarray(np.hypot(*(points - start - share[:, None] * side).T))

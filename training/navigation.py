"""Where people can walk in a room, and which way is shortest to a goal, on a fine grid."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from training.room import Room

Array = npt.NDArray[np.float64]

CELL_M = 0.1
_MARGIN_M = 2.2
_BODY_M = 0.27
_WISH_M = 0.5
_LOOK_AHEAD = 7


class Floor:
    """The walkable part of a room. Positions are map metres."""

    def __init__(self, room: Room) -> None:
        x0, y0, x1, y1 = room.bounds_m
        self._origin = np.array([x0 - _MARGIN_M, y0 - _MARGIN_M])
        size = np.array([x1 - x0, y1 - y0]) + 2 * _MARGIN_M
        rows, columns = np.ceil(size / CELL_M).astype(int).tolist()
        self._shape: tuple[int, int] = (rows, columns)
        solid = self._solid(room)
        self._clear_m: Array = np.asarray(distance_transform_edt(~solid), np.float64) * CELL_M
        along, across = np.gradient(self._clear_m, CELL_M)
        self._away = np.stack([along, across], axis=-1)
        self._graph = self._neighbours()
        self._fields: dict[tuple[int, int], Array] = {}

    def clearance_m(self, position_m: Array) -> Array:
        """Metres (N,) from ``position_m`` (N, 2) to the nearest solid thing."""
        i, j = self._cells(position_m).T
        return np.asarray(self._clear_m[i, j])

    def pushed_out(self, position_m: Array) -> Array:
        """``position_m`` (N, 2), moved away from solid things that a body would touch."""
        i, j = self._cells(position_m).T
        away = self._away[i, j]
        length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        depth = np.clip(_BODY_M - self._clear_m[i, j], 0, CELL_M)[:, None]
        return np.asarray(position_m + away / length * depth)

    def towards(self, position_m: Array, goal_m: tuple[float, float]) -> tuple[Array, float]:
        """Unit direction (2,) of the way from ``position_m`` (2,) to the goal, and metres to go."""
        i, j = self._cells(np.array([goal_m]))[0].tolist()
        field = self._fields.setdefault((i, j), np.empty(0))
        if not field.size:
            field = self._fields[i, j] = self._distances(i, j)
        cell = tuple(self._cells(position_m[None])[0].tolist())
        to_go = float(field[cell])
        target = np.array(goal_m) if to_go < 0.8 else self._descend(field, cell)
        step = target - position_m
        return step / max(float(np.linalg.norm(step)), 1e-6), to_go

    def _descend(self, field: Array, cell: tuple[int, ...]) -> Array:
        i, j = cell
        for _ in range(_LOOK_AHEAD):
            window = field[i - 1 : i + 2, j - 1 : j + 2]
            k = int(np.argmin(window))
            i, j = i + k // 3 - 1, j + k % 3 - 1
        return np.asarray(self._origin + (np.array([i, j]) + 0.5) * CELL_M)

    def _cells(self, position_m: Array) -> npt.NDArray[np.int64]:
        cells = np.floor((position_m - self._origin) / CELL_M).astype(np.int64)
        return np.asarray(np.clip(cells, 1, np.array(self._shape) - 2))

    def _solid(self, room: Room) -> npt.NDArray[np.bool_]:
        solid = np.zeros(self._shape, dtype=bool)
        solid[[0, -1]] = solid[:, [0, -1]] = True
        for wall in room.walls:
            half = wall.thickness_m / 2
            corners = np.array([wall.start_m, wall.end_m])
            self._fill(solid, corners.min(0) - half, corners.max(0) + half)
        for piece in room.furniture:
            self._fill(solid, np.array(piece.low_m), np.array(piece.high_m))
        return solid

    def _fill(self, solid: npt.NDArray[np.bool_], low: Array, high: Array) -> None:
        (i0, j0), (i1, j1) = self._cells(np.stack([low + 1e-6, high - 1e-6])).tolist()
        solid[i0 : i1 + 1, j0 : j1 + 1] = True

    def _neighbours(self) -> csr_matrix:
        """Steps to the eight cells around, dearer near to solid things, none into them."""
        index = np.arange(self._clear_m.size).reshape(self._shape)
        price = 1 + 2.5 * np.clip((_WISH_M - self._clear_m) / (_WISH_M - _BODY_M), 0, 1)
        price = np.where(self._clear_m < _BODY_M, np.inf, price)
        starts, ends, costs = [], [], []
        for di, dj in ((1, 0), (0, 1), (1, 1), (1, -1)):
            a = (slice(0, -di or None), slice(max(-dj, 0), -dj if dj > 0 else None))
            b = (slice(di, None), slice(max(dj, 0), dj if dj < 0 else None))
            cost = np.hypot(di, dj) * CELL_M * np.maximum(price[a], price[b])
            can = np.isfinite(cost)
            starts.append(index[a][can])
            ends.append(index[b][can])
            costs.append(cost[can])
        rows, columns, weights = (np.concatenate(v) for v in (starts, ends, costs))
        return coo_matrix((weights, (rows, columns)), shape=(index.size, index.size)).tocsr()

    def _distances(self, i: int, j: int) -> Array:
        goal = i * self._shape[1] + j
        if self._clear_m[i, j] < _BODY_M:
            goal = int(self._nearest_free(i, j))
        field = dijkstra(self._graph, directed=False, indices=[goal]).reshape(self._shape)
        # From inside the margin of a solid thing, the way is to the nearest free cell.
        blocked = ~np.isfinite(field)
        nearest = distance_transform_edt(blocked, return_distances=True, return_indices=True)
        distance, (ni, nj) = nearest
        return np.asarray(np.where(blocked, field[ni, nj] + 10 * distance, field))

    def _nearest_free(self, i: int, j: int) -> int:
        where = np.argwhere(self._clear_m >= _BODY_M)
        best = where[((where - (i, j)) ** 2).sum(1).argmin()]
        return int(best[0] * self._shape[1] + best[1])

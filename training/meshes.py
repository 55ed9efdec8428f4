"""Triangles in metres: boxes, panels and tubes of elliptic rings, as flat arrays for the GPU."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

# position 3, normal 3, uv 2, colour 3, second colour 3, material 1, bone 1
FLOATS = 16
_POSITION, _NORMAL, _UV = slice(0, 3), slice(3, 6), slice(6, 8)
_COLOUR, _SECOND, _MATERIAL, _BONE = slice(8, 11), slice(11, 14), 14, 15


@dataclass(frozen=True, slots=True)
class Paint:
    """How a surface looks: sRGB colours 0..1 and the number of a pattern in the shaders."""

    colour: Colour
    second: Colour = (0.5, 0.5, 0.5)
    material: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """``vertices`` (V, 16) float32, see ``FLOATS``; ``triangles`` (T, 3) int32."""

    vertices: Array
    triangles: npt.NDArray[np.int32]

    @property
    def positions_m(self) -> Array:
        """(V, 3)."""
        return self.vertices[:, _POSITION]

    @property
    def bones(self) -> npt.NDArray[np.int64]:
        """(V,) number of the matrix that moves each vertex."""
        return self.vertices[:, _BONE].astype(np.int64)

    def with_bone(self, offset: int) -> "Mesh":
        """The same with ``offset`` added to all bone numbers."""
        vertices = self.vertices.copy()
        vertices[:, _BONE] += offset
        return replace(self, vertices=vertices)

    def transformed(self, matrix: npt.ArrayLike) -> "Mesh":
        """Turned and moved by a (3, 4) matrix without scale."""
        moved, vertices = np.asarray(matrix, np.float32), self.vertices.copy()
        vertices[:, _POSITION] = self.positions_m @ moved[:, :3].T + moved[:, 3]
        vertices[:, _NORMAL] = self.vertices[:, _NORMAL] @ moved[:, :3].T
        return replace(self, vertices=vertices)


@dataclass(frozen=True, slots=True)
class Ring:
    """One cross section of a tube: at ``z``, half axes ``rx``, ``ry``, centre ``cx``, ``cy``."""

    z: float
    rx: float
    ry: float
    cx: float = 0.0
    cy: float = 0.0


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """All of them as one."""
    vertices, triangles, count = [], [], 0
    for mesh in meshes:
        vertices.append(mesh.vertices)
        triangles.append(mesh.triangles + count)
        count += len(mesh.vertices)
    return Mesh(np.concatenate(vertices), np.concatenate(triangles).astype(np.int32))


def panel(
    corner: Sequence[float], across: Sequence[float], up: Sequence[float], paint: Paint
) -> Mesh:
    """A parallelogram; uv runs in metres along ``across`` and ``up`` (3-vectors)."""
    origin, a, b = (np.array(v, np.float64) for v in (corner, across, up))
    normal = np.cross(a, b)
    positions = np.stack([origin, origin + a, origin + a + b, origin + b])
    w, h = np.linalg.norm(a), np.linalg.norm(b)
    uv = np.array([[0, 0], [w, 0], [w, h], [0, h]])
    vertices = _vertices(positions, normal / np.linalg.norm(normal), uv, paint)
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def box(low: Sequence[float], high: Sequence[float], paint: Paint) -> Mesh:
    """Axis-aligned, faces outwards; uv in metres on each face, v upwards on the sides."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
    faces = [
        panel((x0, y0, z0), (dx, 0, 0), (0, 0, dz), paint),
        panel((x1, y0, z0), (0, dy, 0), (0, 0, dz), paint),
        panel((x1, y1, z0), (-dx, 0, 0), (0, 0, dz), paint),
        panel((x0, y1, z0), (0, -dy, 0), (0, 0, dz), paint),
        panel((x0, y0, z1), (dx, 0, 0), (0, dy, 0), paint),
        panel((x0, y1, z0), (dx, 0, 0), (0, -dy, 0), paint),
    ]
    return joined(faces)


def tube(
    rings: Sequence[Ring], paint: Paint, *, bone: int = 0, sides: int = 12, roundness: float = 2.0
) -> Mesh:
    """A closed skin over ``rings`` from low to high z; superellipses of exponent ``roundness``
    (2: ellipses, more: boxes with round corners). u is metres around, 0 in front (+x), v is z.
    """
    angle = np.linspace(-np.pi, np.pi, sides + 1)
    shape = [np.sign(f) * np.abs(f) ** (2 / roundness) for f in (np.cos(angle), np.sin(angle))]
    table = np.array([[r.z, r.rx, r.ry, r.cx, r.cy] for r in rings])
    z, rx, ry, cx, cy = (table[:, k, None] for k in range(5))
    grid = np.stack([cx + rx * shape[0], cy + ry * shape[1], z + 0 * angle], axis=2)
    mean = np.sqrt(np.maximum(rx * ry, 1e-8)) * np.ones_like(angle)
    uv = np.stack([mean * angle, z + 0 * angle], axis=2)
    positions = grid.reshape(-1, 3)
    vertices = _vertices(positions, _smooth_normals(grid).reshape(-1, 3), uv.reshape(-1, 2), paint)
    vertices[:, _BONE] = bone
    return Mesh(vertices, _grid_triangles(len(rings), sides + 1))


def _vertices(
    positions: npt.ArrayLike, normals: npt.ArrayLike, uv: npt.ArrayLike, paint: Paint
) -> Array:
    points = np.asarray(positions)
    vertices = np.zeros((len(points), FLOATS), np.float32)
    vertices[:, _POSITION], vertices[:, _NORMAL], vertices[:, _UV] = points, normals, uv
    vertices[:, _COLOUR], vertices[:, _SECOND] = paint.colour, paint.second
    vertices[:, _MATERIAL] = paint.material
    return vertices


def _smooth_normals(grid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    along = np.gradient(grid, axis=0)
    wrapped = np.concatenate([grid[:, -2:-1], grid, grid[:, 1:2]], axis=1)
    around = wrapped[:, 2:] - wrapped[:, :-2]
    normals = np.cross(around, along)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    ends = np.where(np.arange(len(grid)) < len(grid) / 2, -1.0, 1.0)[:, None, None]
    poles = np.concatenate([np.zeros_like(grid[..., :2]), ends * np.ones_like(grid[..., :1])], 2)
    return np.where(length > 1e-9, normals / np.maximum(length, 1e-9), poles)


def _grid_triangles(rows: int, columns: int) -> npt.NDArray[np.int32]:
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (r * columns + c).ravel()
    b, d, e = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, b, e], 1), np.stack([a, e, d], 1)]).astype(np.int32)

"""What a camera should see of people, and how well boxes fit that.

A box is four numbers, its edges: the sides' middle, the top, the width and the bottom, in pixels
without lens distortion. A person is (x_m, y_m, height_m, width_m): a standing cylinder. Where the
camera's pose is unknown only the feet are compared.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from plugins.tracking.assignment import IntArray, covered
from plugins.tracking.camera_plane import BoolArray, CameraPlane, FloatArray
from plugins.tracking.parameters import TrackingParameters

EDGES = 4
MIDDLE, HEAD, WIDTH, FOOT = range(EDGES)
# Standard deviations as shares of the person's height in the picture.
_EDGE_SIGMA = np.array([0.055, 0.04, 0.08, 0.05])
# What is added to them where somebody nearer hides the whole person.
HIDDEN_SIGMA = np.array([0.12, 0.08, 0.2, 0.1])
_LEAST_SIGMA_PX = 1.5
_BORDER_SHARE = 0.006
# A cut edge lies anywhere beyond the border; the middle and the width only lose some precision.
_CUT_SHARE = np.array([0.35, 0.0, 0.35, 0.0])
# Feet are often hidden by things, and go first when a person is hidden.
_FEET_HIDDEN, _FEET_FIRST = 0.12, 0.8
# A detector that is less sure of somebody guesses where the feet are.
_SURE_SCORE, _FOOT_SIGMA_PER_SCORE = 0.75, 0.3
_LEAST_DETECTION, _MOST_DETECTION = 0.02, 0.98
_FAR_PX = 1e6


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one picture as edges (M, 4); ``is_cut`` (M, 4) where the border hides an edge.
    ``foot_px2`` (M,) is the variance of the bottom beyond that of sure boxes.
    """

    edges_px: FloatArray
    is_cut: BoolArray
    foot_px2: FloatArray

    def rows(self, chosen: list[int]) -> "Boxes":
        """Some of them."""
        return Boxes(self.edges_px[chosen], self.is_cut[chosen], self.foot_px2[chosen])


@dataclass(frozen=True, slots=True)
class Visibility:
    """How well a camera sees people (N): ``hidden`` the share of each that a nearer one hides,
    ``inside`` how much of them lies in the picture, ``detection`` the chance that each is detected.
    """

    hidden: FloatArray
    inside: FloatArray
    detection: FloatArray

    @property
    def feet_hidden(self) -> FloatArray:
        """The chance (N,) that a box ends above the feet."""
        return _FEET_HIDDEN + (1.0 - _FEET_HIDDEN) * _FEET_FIRST * self.hidden


@dataclass(frozen=True, slots=True)
class Projected:
    """People (N) as one camera shows them.

    ``edges_px`` (N, 4) with Jacobian ``J`` (N, 4, 4); ``size_px`` (N,) their height in the picture.
    Who is behind the camera has NaN edges and zeros in ``J``.
    """

    edges_px: FloatArray
    J: FloatArray
    size_px: FloatArray
    has_pose: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """People (N) as the boxes of one camera should be: ``edges_px``, ``J`` and ``size_px`` as
    projected, its bias added. ``sigma2_px`` (N, 4) are the variances of measured edges, beside
    which the floor itself is wrong by a variance of ``floor_m2``.
    """

    edges_px: FloatArray
    J: FloatArray
    size_px: FloatArray
    sigma2_px: FloatArray
    floor_m2: float
    has_pose: bool

    def noise(self, rows: IntArray | slice = slice(None)) -> FloatArray:
        """Covariance (N, 4, 4) of measured edges, of some rows or all."""
        on_floor = self.J[rows, :, :2]
        noise = self.floor_m2 * (on_floor @ on_floor.swapaxes(1, 2))
        diagonal(noise)[:] += self.sigma2_px[rows]
        return np.asarray(noise)


@dataclass(frozen=True, slots=True)
class _Pinhole:
    """What projecting needs of a camera's matrix ``P`` (3, 4); the last row gives metres of depth
    where the pose is known. ``by`` (2, 3, 3) are the derivatives of feet and head, ``focal_px`` is
    for widths, ``picture_xyxy`` (1, 4) its frame.
    """

    P: FloatArray
    by: FloatArray
    focal_px: float
    picture_xyxy: FloatArray


def diagonal(matrices: FloatArray) -> FloatArray:
    """The diagonals (N, D) of contiguous matrices (N, D, D), to be changed in place."""
    size = matrices.shape[-1]
    return matrices.reshape(-1, size * size)[:, :: size + 1]


def measure(boxes_xyxy: FloatArray, scores: FloatArray, plane: CameraPlane) -> Boxes:
    """The edges of boxes (M, 4) with scores (M,), and which of them the picture's border cuts."""
    x0, y0, x1, y1 = boxes_xyxy.T
    middle, centre = (x0 + x1) / 2, (y0 + y1) / 2
    points = np.stack([middle, y1, middle, y0, x0, centre, x1, centre], axis=1)
    foot, head, left, right = (
        plane.undistort(points.reshape(-1, 2)).reshape(-1, 4, 2).swapaxes(0, 1)
    )
    edges = np.stack(
        [(foot[:, 0] + head[:, 0]) / 2, head[:, 1], right[:, 0] - left[:, 0], foot[:, 1]], axis=1
    )
    margin_x, margin_y = _BORDER_SHARE * plane.width, _BORDER_SHARE * plane.height
    side_cut = (x0 <= margin_x) | (x1 >= plane.width - 1 - margin_x)
    is_cut = np.stack(
        [side_cut, y0 <= margin_y, side_cut, y1 >= plane.height - 1 - margin_y], axis=1
    )
    foot_sigma = _FOOT_SIGMA_PER_SCORE * np.maximum(_SURE_SCORE - scores, 0.0)
    return Boxes(edges, is_cut, (foot_sigma * (y1 - y0)) ** 2)


def project(people: FloatArray, plane: CameraPlane) -> Projected:
    """Where a camera shows ``people`` (N, 4)."""
    hole = _pinhole(plane)
    edges, J = _edges(people, hole)
    has_pose = plane.projection is not None
    if not has_pose:
        J[:, [HEAD, WIDTH]] = 0.0
    return Projected(edges, J, _size(edges, plane), has_pose)


def visibility(projected: Projected, plane: CameraPlane, detection: FloatArray) -> Visibility:
    """How well a camera sees people (N), by who stands where.

    ``detection`` (2,) is the chance that it detects somebody in full view, and the share of that
    which hiding them wholly takes.
    """
    hidden = hidden_by_nearer(projected.edges_px, projected.size_px)
    inside = _inside(projected.edges_px, plane)
    chance = detection[0] * (1.0 - detection[1] * hidden) * inside
    return Visibility(hidden, inside, chance.clip(_LEAST_DETECTION, _MOST_DETECTION))


def expect(
    projected: Projected, bias: FloatArray, hidden: FloatArray, parameters: TrackingParameters
) -> Expected:
    """How the boxes of people (N) should be, of whom a share (N,) is ``hidden``; ``bias`` (4,) are
    the camera's usual errors, as shares of the person's height in the picture.
    """
    size = projected.size_px[:, None]
    share = _EDGE_SIGMA**2 + (HIDDEN_SIGMA * hidden[:, None]) ** 2
    return Expected(
        projected.edges_px + bias * size,
        projected.J,
        projected.size_px,
        np.maximum(share * size**2, _LEAST_SIGMA_PX**2),
        parameters.position_bias_m**2,
        projected.has_pose,
    )


def misfit(boxes: Boxes, expected: Expected) -> FloatArray:
    """Measured less expected edges (N, 4, M); what lies beyond a border fits any cut edge."""
    e = boxes.edges_px.T - expected.edges_px[:, :, None]
    if not expected.has_pose:
        e[:, [HEAD, WIDTH]] = 0.0
    cut = np.flatnonzero(boxes.is_cut.any(axis=1))
    if cut.size:
        whole = e[:, :, cut]
        beyond = whole * np.where(_CUT_SHARE > 0, _CUT_SHARE, 1.0)[:, None]
        beyond[:, HEAD] = np.minimum(whole[:, HEAD], 0.0)
        beyond[:, FOOT] = np.maximum(whole[:, FOOT], 0.0)
        e[:, :, cut] = np.where(boxes.is_cut[cut].T, beyond, whole)
    return np.asarray(e)


def _size(edges: FloatArray, plane: CameraPlane) -> FloatArray:
    """Heights (N,) in the picture; a usual one where the pose of the camera is not known."""
    if plane.projection is None:
        return np.full(len(edges), plane.height / 4)
    return np.maximum(np.nan_to_num(edges[:, FOOT] - edges[:, HEAD], nan=1.0), 1.0)


@lru_cache(maxsize=64)
def _pinhole(plane: CameraPlane) -> _Pinhole:
    if plane.projection is not None:
        P = plane.projection / np.linalg.norm(plane.projection[2, :3])
    else:
        first, second, origin = plane.ground_to_image.T
        P = np.stack([first, second, np.zeros(3), origin], axis=1)
    by = np.stack([P[:, :3] * (1.0, 1.0, 0.0), P[:, :3]])
    focal_px = float(np.linalg.norm(np.cross(P[0, :3], P[2, :3])))
    return _Pinhole(P, by, focal_px, np.array([[0.0, 0.0, plane.width, plane.height]]))


def _edges(people: FloatArray, hole: _Pinhole) -> tuple[FloatArray, FloatArray]:
    P, N = hole.P, len(people)
    ends = np.empty((2, N, 3))
    foot, head = ends
    foot[:] = people[:, :2] @ P[:, :2].T + P[:, 3]
    head[:] = foot + people[:, 2:3] * P[:, 2]
    px, px_J = _divided(ends, hole.by[:, None])
    edges = np.empty((N, EDGES))
    J = np.zeros((N, EDGES, 4))
    edges[:, MIDDLE] = px[:, :, 0].sum(axis=0) / 2
    edges[:, HEAD], edges[:, FOOT] = px[1, :, 1], px[0, :, 1]
    J[:, MIDDLE, :3] = px_J[:, :, 0].sum(axis=0) / 2
    J[:, HEAD, :3], J[:, FOOT, :3] = px_J[1, :, 1], px_J[0, :, 1]
    depth = np.maximum((foot[:, 2] + head[:, 2]) / 2, 1e-6)
    J[:, WIDTH, 3] = per_metre = hole.focal_px / depth
    edges[:, WIDTH] = width = per_metre * people[:, 3]
    J[:, WIDTH, :3] = -(width / depth)[:, None] * (P[2, :3] * (1.0, 1.0, 0.5))
    return edges, J


def _divided(homogeneous: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels (2, N, 2) and their Jacobian (2, N, 2, 3), given that of the homogeneous points
    (2, 1, 3, 3); behind the camera NaN and zeros.
    """
    w = homogeneous[:, :, 2:]
    is_behind = w <= 1e-6
    if is_behind.any():
        w = np.where(is_behind, np.nan, w)
    px = homogeneous[:, :, :2] / w
    J = (by[:, :, :2] - px[..., None] * by[:, :, 2:]) / w[..., None]
    if is_behind.any():
        np.nan_to_num(J, copy=False)
    return px, J


def hidden_by_nearer(edges: FloatArray, size: FloatArray) -> FloatArray:
    """Share (N,) of each person that one who stands nearer hides; lower feet are nearer."""
    boxes = _as_boxes(edges)
    nearer = edges[None, :, FOOT] > edges[:, None, FOOT] + 0.02 * size[:, None]
    share = np.where(nearer, covered(boxes, boxes), 0.0)
    return np.asarray(share.max(axis=1, initial=0.0))


def _inside(edges: FloatArray, plane: CameraPlane) -> FloatArray:
    """Share (N,) of each person that lies within the picture."""
    shared = covered(_as_boxes(edges), _pinhole(plane).picture_xyxy)[:, 0]
    return np.asarray((1.25 * shared - 0.1).clip(0.0, 1.0))


def _as_boxes(edges: FloatArray) -> FloatArray:
    """(N, 4) x0, y0, x1, y1; far away and empty for who is behind the camera."""
    half, middle = edges[:, WIDTH] / 2, edges[:, MIDDLE]
    boxes = np.stack([middle - half, edges[:, HEAD], middle + half, edges[:, FOOT]], axis=1)
    np.copyto(boxes, -_FAR_PX, where=np.isnan(boxes))
    return boxes

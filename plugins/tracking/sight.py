"""What a camera should see of people, and how well boxes fit that.

A box is four numbers, its edges: the sides' middle, the top, the width and the bottom, in pixels
without lens distortion. A person is (x_m, y_m, height_m, width_m): a standing cylinder. Where the
camera's pose is unknown only the feet are compared.
"""

from dataclasses import dataclass

import numpy as np

from plugins.tracking.assignment import covered
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
class Expected:
    """People (N) as one camera should see them.

    ``edges_px`` (N, 4) with Jacobian ``J`` (N, 4, 4); ``size_px`` (N,) their height in the picture;
    ``noise`` (N, 4, 4) covariance of measured edges. Who is behind the camera has NaN edges.
    """

    edges_px: FloatArray
    J: FloatArray
    size_px: FloatArray
    noise: FloatArray
    has_pose: bool


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


def visibility(people: FloatArray, plane: CameraPlane, detection: FloatArray) -> Visibility:
    """How well a camera sees ``people`` (N, 4), by who stands where.

    ``detection`` (2,) is the chance that it detects somebody in full view, and the share of that
    which hiding them wholly takes.
    """
    edges, _ = _edges(people, _projection(plane))
    size = _size(edges, plane)
    hidden = hidden_by_nearer(edges, size)
    inside = _inside(edges, plane)
    chance = detection[0] * (1.0 - detection[1] * hidden) * inside
    return Visibility(hidden, inside, np.clip(chance, _LEAST_DETECTION, _MOST_DETECTION))


def expect(
    people: FloatArray,
    plane: CameraPlane,
    bias: FloatArray,
    hidden: FloatArray,
    parameters: TrackingParameters,
) -> Expected:
    """What a camera should see of ``people`` (N, 4), of whom a share (N,) is ``hidden``; ``bias``
    (4,) are its boxes' usual errors, as shares of the person's height in the picture.
    """
    has_pose = plane.projection is not None
    edges, J = _edges(people, _projection(plane))
    size = _size(edges, plane)
    share = _EDGE_SIGMA**2 + (HIDDEN_SIGMA * hidden[:, None]) ** 2
    sigma2 = np.maximum(share * size[:, None] ** 2, _LEAST_SIGMA_PX**2)
    if not has_pose:
        J[:, [HEAD, WIDTH]] = 0.0
    on_floor = np.nan_to_num(J[:, :, :2])
    noise = parameters.position_bias_m**2 * on_floor @ on_floor.swapaxes(1, 2)
    noise[:, range(EDGES), range(EDGES)] += sigma2
    return Expected(edges + bias * size[:, None], J, size, noise, has_pose)


def misfit(boxes: Boxes, expected: Expected) -> FloatArray:
    """Measured less expected edges (N, M, 4); what lies beyond a border fits any cut edge."""
    e = boxes.edges_px[None] - expected.edges_px[:, None]
    if not expected.has_pose:
        e[..., [HEAD, WIDTH]] = 0.0
    beyond = e * np.where(_CUT_SHARE > 0, _CUT_SHARE, 1.0)
    beyond[..., HEAD] = np.minimum(e[..., HEAD], 0.0)
    beyond[..., FOOT] = np.maximum(e[..., FOOT], 0.0)
    return np.asarray(np.where(boxes.is_cut[None], beyond, e))


def _size(edges: FloatArray, plane: CameraPlane) -> FloatArray:
    """Heights (N,) in the picture; a usual one where the pose of the camera is not known."""
    if plane.projection is None:
        return np.full(len(edges), plane.height / 4)
    return np.maximum(np.nan_to_num(edges[:, FOOT] - edges[:, HEAD], nan=1.0), 1.0)


def _projection(plane: CameraPlane) -> FloatArray:
    """(3, 4), scaled so that the last row gives metres of depth where the pose is known."""
    if plane.projection is not None:
        return plane.projection / np.linalg.norm(plane.projection[2, :3])
    first, second, origin = plane.ground_to_image.T
    return np.stack([first, second, np.zeros(3), origin], axis=1)


def _edges(people: FloatArray, P: FloatArray) -> tuple[FloatArray, FloatArray]:
    foot = people[:, :2] @ P[:, :2].T + P[:, 3]
    head = foot + people[:, 2:3] * P[:, 2]
    foot_px, foot_J = _divided(foot, np.column_stack([P[:, :2], np.zeros(3)]))
    head_px, head_J = _divided(head, P[:, :3])
    edges = np.empty((len(people), EDGES))
    J = np.zeros((len(people), EDGES, 4))
    edges[:, MIDDLE] = (foot_px[:, 0] + head_px[:, 0]) / 2
    edges[:, HEAD], edges[:, FOOT] = head_px[:, 1], foot_px[:, 1]
    J[:, MIDDLE, :3] = (foot_J[:, 0] + head_J[:, 0]) / 2
    J[:, HEAD, :3], J[:, FOOT, :3] = head_J[:, 1], foot_J[:, 1]
    focal_px = float(np.linalg.norm(np.cross(P[0, :3], P[2, :3])))
    depth = np.maximum((foot[:, 2] + head[:, 2]) / 2, 1e-6)
    edges[:, WIDTH] = width = focal_px * people[:, 3] / depth
    J[:, WIDTH, :2] = -(width / depth)[:, None] * P[2, :2]
    J[:, WIDTH, 2] = -width / depth * P[2, 2] / 2
    J[:, WIDTH, 3] = focal_px / depth
    return edges, J


def _divided(homogeneous: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels (N, 2) and their Jacobian (N, 2, 3), given that of the homogeneous point (3, 3)."""
    w = np.where(homogeneous[:, 2] > 1e-6, homogeneous[:, 2], np.nan)
    px = homogeneous[:, :2] / w[:, None]
    return px, (by[:2] - px[:, :, None] * by[2]) / w[:, None, None]


def hidden_by_nearer(edges: FloatArray, size: FloatArray) -> FloatArray:
    """Share (N,) of each person that one who stands nearer hides; lower feet are nearer."""
    boxes = np.nan_to_num(_as_boxes(edges), nan=-_FAR_PX)
    nearer = edges[None, :, FOOT] > edges[:, None, FOOT] + 0.02 * size[:, None]
    share = np.where(nearer, covered(boxes, boxes), 0.0)
    return np.asarray(share.max(axis=1, initial=0.0))


def _inside(edges: FloatArray, plane: CameraPlane) -> FloatArray:
    """Share (N,) of each person that lies within the picture."""
    boxes = np.nan_to_num(_as_boxes(edges), nan=-_FAR_PX)
    picture = np.array([[0.0, 0.0, plane.width, plane.height]])
    return np.asarray(np.clip(1.25 * covered(boxes, picture)[:, 0] - 0.1, 0.0, 1.0))


def _as_boxes(edges: FloatArray) -> FloatArray:
    half, middle = edges[:, WIDTH] / 2, edges[:, MIDDLE]
    return np.stack([middle - half, edges[:, HEAD], middle + half, edges[:, FOOT]], axis=1)

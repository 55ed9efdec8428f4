"""What a camera should see of people, and how well boxes fit that.

A box is four numbers, its edges: the sides' middle, the top, the width and the bottom, in pixels
without lens distortion. A person is (x_m, y_m, height_m, width_m): a standing cylinder. Where the
camera's pose is unknown only the feet are compared. Several cameras (K) are asked at once; boxes of
those that have fewer (M) are made up to as many with NaN.
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
_EDGE_SIGMA = np.array([0.04, 0.04, 0.08, 0.06])
# What is added to them where somebody nearer hides the whole person.
HIDDEN_SIGMA = np.array([0.04, 0.02, 0.05, 0.1])
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
# Of a share of the person's height.
LARGEST_BIAS = 0.15


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one picture as edges (M, 4); ``is_cut`` (M, 4) where the border hides an edge.
    ``foot_px2`` (M,) is the variance of the bottom beyond that of sure boxes. Of several pictures,
    all have one dimension more.
    """

    edges_px: FloatArray
    is_cut: BoolArray
    foot_px2: FloatArray

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.edges_px)

    def rows(self, chosen: list[int] | IntArray) -> "Boxes":
        """Some of them."""
        return Boxes(self.edges_px[chosen], self.is_cut[chosen], self.foot_px2[chosen])

    @classmethod
    def of_all(cls, pictures: list["Boxes"]) -> "Boxes":
        """Those of several pictures (K, M)."""
        shape = len(pictures), max(map(len, pictures))
        all_boxes = cls(
            np.full((*shape, EDGES), np.nan), np.zeros((*shape, EDGES), bool), np.zeros(shape)
        )
        for k, boxes in enumerate(pictures):
            all_boxes.edges_px[k, : len(boxes)] = boxes.edges_px
            all_boxes.is_cut[k, : len(boxes)] = boxes.is_cut
            all_boxes.foot_px2[k, : len(boxes)] = boxes.foot_px2
        return all_boxes


@dataclass(frozen=True, slots=True)
class Optics:
    """What projecting needs of cameras: matrices ``P`` (K, 3, 4), whose last row gives metres of
    depth where the pose is known (``has_pose`` (K,)); ``by`` (K, 1, 2, 3, 3) the derivatives of
    feet and head, ``focal_px`` (K, 1) for widths, ``picture_xyxy`` (K, 1, 4) their frames.
    """

    P: FloatArray
    by: FloatArray
    focal_px: FloatArray
    picture_xyxy: FloatArray
    has_pose: BoolArray


@dataclass(frozen=True, slots=True)
class Visibility:
    """How well a camera sees people (N): ``hidden`` the share of each that a nearer one hides,
    ``inside`` how much of them lies in the picture, ``behind`` the chance that a thing hides them,
    ``detection`` the chance that each is detected.
    """

    hidden: FloatArray
    inside: FloatArray
    behind: FloatArray
    detection: FloatArray

    @property
    def in_sight(self) -> FloatArray:
        """The chance (N,) that each would be detected if no thing hid them."""
        return np.asarray((self.detection / (1.0 - self.behind)).clip(0.0, _MOST_DETECTION))

    @property
    def feet_hidden(self) -> FloatArray:
        """The chance (N,) that a box ends above the feet."""
        return _FEET_HIDDEN + (1.0 - _FEET_HIDDEN) * _FEET_FIRST * self.hidden

    def of(self, camera: int) -> "Visibility":
        """One camera's of several."""
        return Visibility(
            self.hidden[camera], self.inside[camera], self.behind[camera], self.detection[camera]
        )


@dataclass(frozen=True, slots=True)
class Projected:
    """People (N) as cameras (K) show them.

    ``edges_px`` (K, N, 4) with Jacobian ``J`` (K, N, 4, 4); ``size_px`` (K, N) their height in the
    picture. Who is behind a camera has NaN edges and zeros in ``J``.
    """

    edges_px: FloatArray
    J: FloatArray
    size_px: FloatArray


@dataclass(frozen=True, slots=True)
class Expected:
    """People (N) as the boxes of cameras (K) should be: ``edges_px``, ``J`` and ``size_px`` as
    projected, the cameras' biases added. ``in_picture`` (K, N, 3) is 1, and how far to the right
    and down people's feet are, from -1 to 1; by it biases are learnt. ``sigma2_px`` (K, N, 4) are
    the variances of measured edges, beside which the floor itself is wrong by ``floor_m2``.
    """

    edges_px: FloatArray
    J: FloatArray
    size_px: FloatArray
    in_picture: FloatArray
    sigma2_px: FloatArray
    floor_m2: float

    def noise(self, cameras: slice | IntArray, people: slice | IntArray) -> FloatArray:
        """Covariances (..., 4, 4) of measured edges of some people in some cameras."""
        on_floor = self.J[cameras, people, :, :2]
        noise = self.floor_m2 * (on_floor @ on_floor.swapaxes(-1, -2))
        diagonal(noise)[:] += self.sigma2_px[cameras, people]
        return np.asarray(noise)


def diagonal(matrices: FloatArray) -> FloatArray:
    """The diagonals (..., D) of contiguous matrices (..., D, D), to be changed in place."""
    size = matrices.shape[-1]
    return matrices.reshape(*matrices.shape[:-2], size * size)[..., :: size + 1]


@lru_cache(maxsize=256)
def optics(planes: tuple[CameraPlane, ...]) -> Optics:
    """Of some cameras."""
    P = np.stack([_projection(plane) for plane in planes])
    by = np.stack([P[:, :, :3] * (1.0, 1.0, 0.0), P[:, :, :3]], axis=1)
    focal_px = np.linalg.norm(np.cross(P[:, 0, :3], P[:, 2, :3]), axis=1)
    return Optics(
        P,
        by[:, None],
        focal_px[:, None],
        np.array([[(0.0, 0.0, plane.width, plane.height)] for plane in planes]),
        np.array([plane.projection is not None for plane in planes]),
    )


def _projection(plane: CameraPlane) -> FloatArray:
    if plane.projection is not None:
        return plane.projection / np.linalg.norm(plane.projection[2, :3])
    first, second, origin = plane.ground_to_image.T
    return np.stack([first, second, np.zeros(3), origin], axis=1)


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


def project(people: FloatArray, cameras: Optics) -> Projected:
    """Where cameras (K) show ``people``: (N, 4), or others in each (K, N, 4)."""
    P = cameras.P
    ends = np.empty((len(P), people.shape[-2], 2, 3))
    foot, head = ends[:, :, 0], ends[:, :, 1]
    foot[:] = people[..., :2] @ P[:, :, :2].swapaxes(1, 2) + P[:, None, :, 3]
    head[:] = foot + people[..., 2:3] * P[:, None, :, 2]
    px, px_J = _divided(ends, cameras.by)
    edges = np.empty((*foot.shape[:2], EDGES))
    J = np.zeros((*foot.shape[:2], EDGES, 4))
    edges[..., MIDDLE] = (px[:, :, 0, 0] + px[:, :, 1, 0]) / 2
    edges[..., HEAD], edges[..., FOOT] = px[:, :, 1, 1], px[:, :, 0, 1]
    J[..., MIDDLE, :3] = (px_J[:, :, 0, 0] + px_J[:, :, 1, 0]) / 2
    J[..., HEAD, :3], J[..., FOOT, :3] = px_J[:, :, 1, 1], px_J[:, :, 0, 1]
    depth = np.maximum((foot[..., 2] + head[..., 2]) / 2, 1e-6)
    J[..., WIDTH, 3] = per_metre = cameras.focal_px / depth
    edges[..., WIDTH] = width = per_metre * people[..., 3]
    J[..., WIDTH, :3] = -(width / depth)[..., None] * (P[:, None, 2, :3] * (1.0, 1.0, 0.5))
    size = np.fmax(edges[..., FOOT] - edges[..., HEAD], 1.0)
    if not cameras.has_pose.all():
        blind = ~cameras.has_pose
        J[blind, :, HEAD] = J[blind, :, WIDTH] = 0.0
        size[blind] = cameras.picture_xyxy[blind, :, 3] / 4
    return Projected(edges, J, size)


def _divided(homogeneous: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels (K, N, 2, 2) of feet and heads and their Jacobian (K, N, 2, 2, 3), given that of the
    homogeneous points (K, 1, 2, 3, 3); behind the camera NaN and zeros.
    """
    w = homogeneous[..., 2:]
    is_behind = w <= 1e-6
    any_behind = bool(is_behind.any())
    if any_behind:
        w = np.where(is_behind, np.nan, w)
    px = homogeneous[..., :2] / w
    J = (by[..., :2, :] - px[..., None] * by[..., 2:, :]) / w[..., None]
    if any_behind:
        np.nan_to_num(J, copy=False)
    return px, J


def visibility(
    projected: Projected, cameras: Optics, detection: FloatArray, behind: FloatArray
) -> Visibility:
    """How well cameras (K) see people (N), by who stands where.

    ``detection`` (K, 2) is the chance that each detects somebody in full view, and the share of
    that which hiding them wholly takes; ``behind`` (K, N) that something hides each.
    """
    hidden = hidden_by_nearer(projected.edges_px, projected.size_px)
    shared = covered(_as_boxes(projected.edges_px), cameras.picture_xyxy)[..., 0]
    inside = (1.25 * shared - 0.1).clip(0.0, 1.0)
    chance = detection[:, :1] * (1.0 - detection[:, 1:] * hidden) * inside * (1.0 - behind)
    return Visibility(hidden, inside, behind, chance.clip(_LEAST_DETECTION, _MOST_DETECTION))


def _in_picture(projected: Projected, cameras: Optics) -> FloatArray:
    """(K, N, 3): 1, and how far to the right and down people's feet are, from -1 to 1."""
    half_px = cameras.picture_xyxy[..., 2:] / 2
    where = np.ones((*projected.size_px.shape, 3))
    feet = projected.edges_px[..., [MIDDLE, FOOT]]
    where[..., 1:] = np.nan_to_num((feet - half_px) / half_px).clip(-1.0, 1.0)
    return where


def expect(
    projected: Projected,
    cameras: Optics,
    bias: FloatArray,
    hidden: FloatArray,
    parameters: TrackingParameters,
) -> Expected:
    """How the boxes of people (N) should be, of whom a share (K, N) is ``hidden``. ``bias``
    (K, 3, 4) are the cameras' usual errors, as shares of the person's height in the picture: in its
    middle, and what is added towards its right and its lower border.
    """
    in_picture = _in_picture(projected, cameras)
    error = (in_picture @ bias).clip(-LARGEST_BIAS, LARGEST_BIAS)
    size = projected.size_px[..., None]
    share = _EDGE_SIGMA**2 + (HIDDEN_SIGMA * hidden[..., None]) ** 2
    return Expected(
        projected.edges_px + error * size,
        projected.J,
        projected.size_px,
        in_picture,
        np.maximum(share * size**2, _LEAST_SIGMA_PX**2),
        parameters.position_bias_m**2,
    )


def misfit(boxes: Boxes, expected: Expected, cameras: Optics) -> FloatArray:
    """Measured less expected edges (K, N, 4, M); what lies beyond a border fits any cut edge."""
    e = boxes.edges_px.swapaxes(1, 2)[:, None] - expected.edges_px[..., None]
    if not cameras.has_pose.all():
        blind = ~cameras.has_pose
        e[blind, :, HEAD] = e[blind, :, WIDTH] = 0.0
    k, m = np.nonzero(boxes.is_cut.any(axis=2))
    if k.size:
        whole = e[k, :, :, m]
        beyond = whole * np.where(_CUT_SHARE > 0, _CUT_SHARE, 1.0)
        beyond[..., HEAD] = np.minimum(whole[..., HEAD], 0.0)
        beyond[..., FOOT] = np.maximum(whole[..., FOOT], 0.0)
        e[k, :, :, m] = np.where(boxes.is_cut[k, m][:, None], beyond, whole)
    return np.asarray(e)


def hidden_by_nearer(edges: FloatArray, size: FloatArray) -> FloatArray:
    """Share (K, N) of each person that one who stands nearer hides; lower feet are nearer."""
    boxes, foot = _as_boxes(edges), edges[..., FOOT]
    nearer = foot[..., None, :] > (foot + 0.02 * size)[..., :, None]
    share = np.where(nearer, covered(boxes, boxes), 0.0)
    return np.asarray(share.max(axis=-1, initial=0.0))


def _as_boxes(edges: FloatArray) -> FloatArray:
    """(K, N, 4) x0, y0, x1, y1; far away and empty for who is behind the camera."""
    half, middle = edges[..., WIDTH] / 2, edges[..., MIDDLE]
    boxes = np.empty(edges.shape)
    boxes[..., 0], boxes[..., 2] = middle - half, middle + half
    boxes[..., 1], boxes[..., 3] = edges[..., HEAD], edges[..., FOOT]
    np.copyto(boxes, -_FAR_PX, where=np.isnan(boxes))
    return boxes

"""What a camera of an environment file shows, as matrices for the renderer, and its own look."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homography.environment import Camera
from homography.ground_plane import GroundPlane
from plugins.errors import InvalidEnvironmentError

Array = npt.NDArray[np.float64]

NEAR_M, FAR_M = 0.12, 80.0
_MAX_CANVAS = 1.6


@dataclass(frozen=True, slots=True)
class Grade:
    """A camera's character: ``gain_rgb`` is the colour cast, ``noise`` the standard deviation in
    grey levels, ``blur_px`` that of the lens, ``vignette`` the loss of light in the corners 0..1.
    """

    exposure: float
    gain_rgb: tuple[float, float, float]
    vignette: float
    noise: float
    blur_px: float


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera's picture on the renderer's canvas.

    The canvas holds undistorted pixels: ``origin_px`` is the undistorted pixel at its corner,
    ``width`` and ``height`` its size. ``projection`` (3, 4) takes map metres to undistorted pixels
    times the depth in metres. ``remap`` are OpenCV's maps from the canvas to the picture and
    ``inside`` (height, width) what of the canvas the picture shows; both None without distortion.
    """

    camera: Camera
    projection: Array
    origin_px: tuple[float, float]
    width: int
    height: int
    remap: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None
    inside: npt.NDArray[np.uint8] | None

    def clip_matrix(self, jitter_px: tuple[float, float] = (0.0, 0.0)) -> npt.NDArray[np.float32]:
        """(4, 4) for OpenGL, the picture's first row at the framebuffer's first."""
        u, v, depth = self.projection
        # OpenGL's pixel i reaches from i to i + 1, in the calibration it is centred on i.
        shift_x = 0.5 - self.origin_px[0] + jitter_px[0]
        shift_y = 0.5 - self.origin_px[1] + jitter_px[1]
        x = (u + shift_x * depth) * (2 / self.width) - depth
        y = (v + shift_y * depth) * (2 / self.height) - depth
        span = FAR_M - NEAR_M
        z = depth * ((FAR_M + NEAR_M) / span) - np.array([0, 0, 0, 2 * FAR_M * NEAR_M / span])
        return np.stack([x, y, z, depth]).astype(np.float32)

    def is_mirrored(self) -> bool:
        """Whether the map's y axis points down, so that the map shows the floor from below."""
        return bool(np.linalg.det(self.projection[:, :3]) < 0)

    def to_picture(self, points_m: Array) -> Array:
        """Pixels (N, 2) of ``points_m`` (N, 3), NaN behind the camera or beyond the lens model."""
        mapped = points_m @ self.projection[:, :3].T + self.projection[:, 3]
        depth = np.where(mapped[:, 2] > NEAR_M, mapped[:, 2], np.nan)
        px = mapped[:, :2] / depth[:, None]
        lens = self.camera.ground_plane.lens
        return px if lens is None else lens.distort(px)

    def to_canvas(self, points_m: Array) -> Array:
        """As ``to_picture`` in corners-are-whole pixels of the canvas."""
        mapped = points_m @ self.projection[:, :3].T + self.projection[:, 3]
        depth = np.where(mapped[:, 2] > NEAR_M, mapped[:, 2], np.nan)
        return mapped[:, :2] / depth[:, None] - self.origin_px + 0.5


def view_of(camera: Camera) -> View:
    """Raises InvalidEnvironmentError where the file does not tell the camera's pose."""
    plane = camera.ground_plane
    if plane.projection is None:
        raise InvalidEnvironmentError(
            f"camera {camera.camera_id}: its height over the floor cannot be known from its "
            "homography, so nothing can be rendered: add [cameras.lens] with K to its table"
        )
    projection = plane.projection / np.linalg.norm(plane.projection[2, :3])
    if plane.lens is None or not plane.lens.distortion.any():
        return View(camera, projection, (0.0, 0.0), plane.width, plane.height, None, None)
    return _distorted_view(camera, plane, projection)


def grade_of(camera_number: int, seed: int) -> Grade:
    """A made-up character for the camera, always the same for the same seed."""
    random = np.random.default_rng((seed, 7919, camera_number))
    warmth, green = random.uniform(-0.06, 0.06), random.uniform(-0.02, 0.02)
    return Grade(
        exposure=float(random.uniform(0.92, 1.14)),
        gain_rgb=(1 + warmth, 1 + green, 1 - warmth),
        vignette=float(random.uniform(0.12, 0.32)),
        noise=float(random.uniform(1.2, 2.6)),
        blur_px=float(random.uniform(0.45, 0.8)),
    )


def _distorted_view(camera: Camera, plane: GroundPlane, projection: Array) -> View:
    grid = np.stack(np.meshgrid(np.arange(plane.width), np.arange(plane.height)), 2)
    ideal = plane.undistort(grid.reshape(-1, 2))
    span = np.array([plane.width, plane.height])
    low = np.maximum(np.floor(np.nanmin(ideal, 0)), span * (1 - _MAX_CANVAS) / 2)
    high = np.minimum(np.ceil(np.nanmax(ideal, 0)) + 1, span * (1 + _MAX_CANVAS) / 2)
    width, height = (int(v) for v in high - low)
    maps = np.nan_to_num(ideal - low, nan=-1e4).astype(np.float32)
    across, along = maps.reshape(plane.height, plane.width, 2).transpose(2, 0, 1)
    inside = _inside(plane, low, width, height)
    remap = np.ascontiguousarray(across), np.ascontiguousarray(along)
    return View(camera, projection, (float(low[0]), float(low[1])), width, height, remap, inside)


def _inside(plane: GroundPlane, low: Array, width: int, height: int) -> npt.NDArray[np.uint8]:
    canvas = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).reshape(-1, 2) + low
    assert plane.lens is not None  # noqa: S101  # only distorted cameras come here
    px = plane.lens.distort(canvas)
    is_inside = ((px > -0.5) & (px < np.array([plane.width, plane.height]) - 0.5)).all(1)
    return np.asarray(is_inside.reshape(height, width) * 255, dtype=np.uint8)

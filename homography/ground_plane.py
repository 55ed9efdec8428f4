"""One camera over a flat floor: foot pixels to metres, with how sure that is, and back."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homography.calibration import Fit
from homography.errors import CalibrationError
from homography.lens import Lens
from homography.pose import projection_with_height

Array = npt.NDArray[np.float64]

DEFAULT_SIGMA_PX = 4.0
DEFAULT_ERROR_M = 0.05
MAX_METRES_PER_PX = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class GroundPoints:
    """Foot points on the floor: ``position_m`` (N, 2), ``covariance_m2`` (N, 2, 2), both NaN where
    ``is_valid`` (N,) is false because the pixel does not show a usable piece of floor.

    ``calibration_m2`` (N, 2, 2) is the part of the covariance that exact pixels would leave.
    """

    position_m: Array
    covariance_m2: Array
    calibration_m2: Array
    is_valid: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of points."""
        return len(self.position_m)


@dataclass(frozen=True, slots=True, eq=False)
class GroundPlane:
    """The floor as one camera sees it. Make it with ``from_matrix``.

    ``image_to_ground`` (3, 3) takes undistorted pixels to metres, scaled so that its third row is
    positive on the visible side of the horizon. ``error_m`` is the standard deviation per axis
    that the calibration itself leaves, ``matrix_covariance`` (9, 9) that of the matrix's entries
    row by row (zero where unknown). ``projection`` (3, 4) takes (x_m, y_m, height_m, 1) to
    undistorted pixels, None where the camera's pose cannot be known.
    """

    image_to_ground: Array
    ground_to_image: Array
    width: int
    height: int
    lens: Lens | None
    error_m: float
    matrix_covariance: Array | None
    projection: Array | None
    max_metres_per_px: float

    @classmethod
    def from_matrix(
        cls,
        image_to_ground: npt.ArrayLike,
        width: int,
        height: int,
        *,
        lens: Lens | None = None,
        error_m: float = DEFAULT_ERROR_M,
        matrix_covariance: Array | None = None,
        floor_px: tuple[float, float] | None = None,
        max_metres_per_px: float = MAX_METRES_PER_PX,
    ) -> "GroundPlane":
        """Build from a homography of any scale and sign.

        ``floor_px`` is an (undistorted) pixel that surely shows floor; it tells which side of the
        horizon the floor is on, the bottom centre of the picture where it is not given.
        Raises CalibrationError for a matrix that is not finite, not 3x3 or singular, and where
        ``floor_px`` lies on the horizon.
        """
        matrix = _checked(image_to_ground, width, height)
        x, y = floor_px if floor_px is not None else (width / 2, height - 1.0)
        depth = float(matrix[2] @ (x, y, 1.0))
        if abs(depth) < 1e-9 * float(np.abs(matrix[2] * (width, height, 1.0)).sum()):
            raise CalibrationError(
                f"pixel ({x:.0f}, {y:.0f}) lies on the horizon of image_to_ground"
            )
        matrix /= depth
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        covariance = None if matrix_covariance is None else matrix_covariance / depth**2
        projection = projection_with_height(
            inverse, width, height, None if lens is None else lens.K
        )
        return cls(
            matrix,
            inverse,
            width,
            height,
            lens,
            float(error_m),
            covariance,
            projection,
            float(max_metres_per_px),
        )

    @classmethod
    def from_fit(
        cls, fit: Fit, width: int, height: int, *, lens: Lens | None = None
    ) -> "GroundPlane":
        """The plane of a fit, with the fit's uncertainty; ``lens`` as in the fit."""
        return cls.from_matrix(
            fit.image_to_ground,
            width,
            height,
            lens=lens,
            error_m=fit.sigma_m,
            matrix_covariance=fit.matrix_covariance,
            floor_px=fit.floor_px,
        )

    @property
    def K(self) -> Array | None:  # noqa: N802 - the field's name for the camera matrix
        """Camera matrix (3, 3) in pixels, None where no lens is known."""
        return None if self.lens is None else self.lens.K

    @property
    def distortion(self) -> Array | None:
        """k1, k2, p1, p2, k3, None where no lens is known."""
        return None if self.lens is None else self.lens.distortion

    @property
    def camera_centre_m(self) -> Array | None:
        """(x, y, height over the floor) of the camera, None where its pose cannot be known."""
        if self.projection is None:
            return None
        return np.asarray(-np.linalg.solve(self.projection[:, :3], self.projection[:, 3]))

    def scaled_to(self, width: int, height: int) -> "GroundPlane":
        """The same floor in pictures of another size, the whole view scaled to it."""
        sx, sy = width / self.width, height / self.height
        scale, unscale = np.diag([sx, sy, 1.0]), np.diag([1 / sx, 1 / sy, 1.0])
        covariance, by_entry = self.matrix_covariance, np.kron(np.eye(3), unscale)
        return replace(
            self,
            image_to_ground=self.image_to_ground @ unscale,
            ground_to_image=scale @ self.ground_to_image,
            width=width,
            height=height,
            lens=None if self.lens is None else replace(self.lens, K=scale @ self.lens.K),
            matrix_covariance=None if covariance is None else by_entry @ covariance @ by_entry.T,
            projection=None if self.projection is None else scale @ self.projection,
            max_metres_per_px=self.max_metres_per_px / min(sx, sy),
        )

    def to_ground(
        self, foot_px: npt.ArrayLike, sigma_px: npt.ArrayLike = DEFAULT_SIGMA_PX
    ) -> GroundPoints:
        """Where on the floor the pixels ``foot_px`` (N, 2) of the picture lie.

        ``sigma_px`` is the standard deviation of the foot points in x and y: a number or (N, 2).
        Invalid are points at or behind the horizon, points so near to it that one pixel is more
        than ``max_metres_per_px``, and points where the lens model has no inverse.
        """
        px = _points(foot_px)
        undistorted, lens_jacobian, is_valid = self._undistort(px)
        homogeneous = np.column_stack([undistorted, np.ones(len(px))])
        mapped = homogeneous @ self.image_to_ground.T
        # Below this w the scale limit is passed anyway; it keeps the arithmetic finite.
        w = np.where(is_valid & (mapped[:, 2] > 1e-9), mapped[:, 2], np.nan)
        position = mapped[:, :2] / w[:, None]
        jacobian = self._jacobian(position, w) @ lens_jacobian
        variance = np.broadcast_to(np.square(np.asarray(sigma_px, dtype=np.float64)), px.shape)
        covariance = (jacobian * variance[:, None, :]) @ jacobian.transpose(0, 2, 1)
        calibration = self._calibration_covariance(homogeneous, position, w)
        covariance += calibration
        metres_per_px = np.sqrt((jacobian**2).sum(axis=(1, 2)))
        is_valid = metres_per_px <= self.max_metres_per_px
        position[~is_valid] = np.nan
        covariance[~is_valid] = np.nan
        return GroundPoints(position, covariance, calibration, is_valid)

    def to_image(self, position_m: npt.ArrayLike) -> Array:
        """Pixels (N, 2) of the picture that show the floor at ``position_m`` (N, 2), also outside
        of its border; NaN behind the camera and where the lens model ends.
        """
        positions = _points(position_m)
        return self._project(np.column_stack([positions, np.ones(len(positions))]), None)

    def project_height(self, position_m: npt.ArrayLike, height_m: npt.ArrayLike) -> Array | None:
        """Pixels (N, 2) of what is ``height_m`` (a number or (N,)) above ``position_m`` (N, 2).

        At height 0 the same as ``to_image``; NaN in the same cases. None where the pose of the
        camera cannot be known: no K was given, and the matrix does not tell the focal length.
        """
        if self.projection is None:
            return None
        positions = _points(position_m)
        heights = np.broadcast_to(np.asarray(height_m, dtype=np.float64), (len(positions),))
        return self._project(
            np.column_stack([positions, heights, np.ones(len(positions))]), self.projection
        )

    def undistort(self, px: npt.ArrayLike) -> Array:
        """Pixels (N, 2) of the picture as an ideal pinhole would show them; what ``projection``
        speaks of. NaN where the lens model has no inverse.
        """
        undistorted, _, is_valid = self._undistort(_points(px))
        return np.where(is_valid[:, None], undistorted, np.nan)

    def _undistort(self, px: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
        if self.lens is not None:
            return self.lens.undistort(px)
        identity = np.broadcast_to(np.eye(2), (len(px), 2, 2))
        return px, identity, np.asarray(np.isfinite(px).all(axis=1))

    def _jacobian(self, position: Array, w: Array) -> Array:
        H = self.image_to_ground
        return np.asarray((H[:2, :2] - position[:, :, None] * H[2, :2]) / w[:, None, None])

    def _calibration_covariance(self, homogeneous: Array, position: Array, w: Array) -> Array:
        floor = np.broadcast_to(self.error_m**2 * np.eye(2), (len(w), 2, 2))
        if self.matrix_covariance is None:
            return floor
        scaled = homogeneous / w[:, None]
        by_entry = np.zeros((len(w), 2, 9))
        by_entry[:, 0, :3] = by_entry[:, 1, 3:6] = scaled
        by_entry[:, :, 6:] = -position[:, :, None] * scaled[:, None, :]
        return floor + by_entry @ self.matrix_covariance @ by_entry.transpose(0, 2, 1)

    def _project(self, homogeneous: Array, projection: Array | None) -> Array:
        matrix = self.ground_to_image if projection is None else projection
        mapped = homogeneous @ matrix.T
        px = mapped[:, :2] / np.where(mapped[:, 2] > 0, mapped[:, 2], np.nan)[:, None]
        return px if self.lens is None else self.lens.distort(px)


def _points(values: npt.ArrayLike) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64).reshape(-1, 2)


def _checked(image_to_ground: npt.ArrayLike, width: int, height: int) -> Array:
    matrix = np.array(image_to_ground, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise CalibrationError("image_to_ground must be three rows of three finite numbers")
    balanced = matrix * (width, height, 1.0)
    rows = np.linalg.norm(balanced, axis=1, keepdims=True)
    if not rows.all() or np.linalg.cond(balanced / rows) > 1e9:
        raise CalibrationError(
            "image_to_ground is singular: it maps the picture onto a line or point"
        )
    return matrix

"""The lens of a camera: OpenCV's pinhole model with five distortion coefficients."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from homography.errors import CalibrationError

Array = npt.NDArray[np.float64]

_MAX_RESIDUAL_PX = 0.5
_CRITERIA = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 40, 1e-10)


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """``K`` (3, 3) in pixels, ``distortion`` (5,): k1, k2, p1, p2, k3 as in OpenCV.

    ``max_radius`` is the distance from the optical axis, in focal lengths, up to which the model
    is monotonic; beyond it distorted points fold back into the picture and mean nothing.
    """

    K: Array
    distortion: Array
    max_radius: float

    @classmethod
    def from_coefficients(cls, K: npt.ArrayLike, distortion: npt.ArrayLike | None = None) -> "Lens":
        """Check and complete what a calibration gives.

        Raises CalibrationError for a K that is not a finite camera matrix, and for a number of
        coefficients other than 0, 4 or 5.
        """
        matrix = np.array(K, dtype=np.float64)
        coefficients = np.array(() if distortion is None else distortion, dtype=np.float64).ravel()
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise CalibrationError("K must be three rows of three finite numbers")
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or not np.allclose(matrix[2], (0, 0, 1)):
            raise CalibrationError(
                "K must look like [[fx, s, cx], [0, fy, cy], [0, 0, 1]], fx, fy > 0"
            )
        if coefficients.size not in {0, 4, 5} or not np.isfinite(coefficients).all():
            raise CalibrationError("distortion must be the five finite numbers k1, k2, p1, p2, k3")
        padded = np.concatenate([coefficients, np.zeros(5 - coefficients.size)])
        return cls(matrix, padded, _monotonic_radius(padded))

    def undistort(self, px: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
        """Pixels (N, 2) as they are in the picture to pixels of an ideal pinhole with the same K.

        Returns the points (N, 2), their Jacobian (N, 2, 2) by the picture's pixels, and which of
        them lie where the lens model can be inverted.
        """
        if len(px) == 0:
            return px, np.empty((0, 2, 2)), np.empty(0, dtype=bool)
        if not self.distortion.any():
            identity = np.broadcast_to(np.eye(2), (len(px), 2, 2))
            return px, identity, np.asarray(np.isfinite(px).all(axis=1))
        ideal_px = self._undistort_px(px)
        rays = self._to_rays(ideal_px)
        distorted, forward = self._distort_rays(rays)
        inverse, determinant = _inverse_2x2(forward)
        residual_px = np.abs(self._to_px(distorted) - px).max(axis=1)
        in_range = (rays**2).sum(axis=1) < self.max_radius**2
        is_valid = (residual_px <= _MAX_RESIDUAL_PX) & in_range & (determinant > 0)
        scale = self.K[:2, :2]
        return ideal_px, scale @ inverse @ np.linalg.inv(scale), is_valid

    def distort(self, px: Array) -> Array:
        """Pixels (N, 2) of the ideal pinhole to those of the picture; NaN beyond ``max_radius``."""
        rays = self._to_rays(px)
        with np.errstate(over="ignore", invalid="ignore"):
            distorted = self._to_px(self._distort_rays(rays)[0])
            distorted[~((rays**2).sum(axis=1) < self.max_radius**2)] = np.nan
        return distorted

    def _undistort_px(self, px: Array) -> Array:
        # Of OpenCV's functions with criteria the one that versions 4 and 5 both have.
        ideal_px = cv2.undistortImagePoints(
            px.reshape(-1, 1, 2), self.K, self.distortion, None, _CRITERIA
        )
        return np.asarray(ideal_px, dtype=np.float64).reshape(-1, 2)

    def _to_rays(self, px: Array) -> Array:
        return (px - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T

    def _to_px(self, rays: Array) -> Array:
        return rays @ self.K[:2, :2].T + self.K[:2, 2]

    def _distort_rays(self, rays: Array) -> tuple[Array, Array]:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = rays.T
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
        distorted = np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=1,
        )
        jacobian = np.empty((len(rays), 2, 2))
        jacobian[:, 0, 0] = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        jacobian[:, 1, 1] = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        jacobian[:, 0, 1] = jacobian[:, 1, 0] = slope * x * y + 2 * p1 * x + 2 * p2 * y
        return distorted, jacobian


def _inverse_2x2(matrices: Array) -> tuple[Array, Array]:
    a, b, c, d = matrices.reshape(-1, 4).T
    determinant = a * d - b * c
    safe = np.where(determinant == 0, np.nan, determinant)
    return np.stack([d, -b, -c, a], axis=1).reshape(-1, 2, 2) / safe[:, None, None], determinant


def _monotonic_radius(distortion: Array) -> float:
    k1, k2, _, _, k3 = distortion
    roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(np.sqrt(real.min())) if real.size else float("inf")

"""What tracking needs to know of a camera; ``homography.ground_plane.GroundPlane`` has it."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class MappedPoints(Protocol):
    """Points on the floor: ``position_m`` (N, 2), ``covariance_m2`` (N, 2, 2), ``is_valid`` (N,).

    Rows that are not valid hold NaN.
    """

    @property
    def position_m(self) -> FloatArray:
        """Floor positions."""
        ...

    @property
    def covariance_m2(self) -> FloatArray:
        """Their covariances, calibration error included."""
        ...

    @property
    def calibration_m2(self) -> FloatArray:
        """The part of the covariances (N, 2, 2) that exact pixels would leave."""
        ...

    @property
    def is_valid(self) -> BoolArray:
        """False behind the horizon and where the map is absurd."""
        ...


class CameraPlane(Protocol):
    """One calibrated camera over a flat floor. It never changes: what follows is kept by it."""

    def __hash__(self) -> int:
        """By identity is enough."""
        ...

    @property
    def width(self) -> int:
        """Picture width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Picture height in pixels."""
        ...

    def to_ground(self, foot_px: FloatArray, sigma_px: FloatArray | float) -> MappedPoints:
        """Where pixels (N, 2), known to ``sigma_px``, lie on the floor."""
        ...

    def to_image(self, position_m: FloatArray) -> FloatArray:
        """Where floor positions (N, 2) appear; NaN behind the camera."""
        ...

    @property
    def ground_to_image(self) -> FloatArray:
        """(3, 3): (x_m, y_m, 1) to undistorted pixels."""
        ...

    @property
    def projection(self) -> FloatArray | None:
        """(3, 4): (x_m, y_m, height_m, 1) to undistorted pixels; None without a camera pose."""
        ...

    def undistort(self, px: FloatArray) -> FloatArray:
        """Pixels (N, 2) as an ideal pinhole would show them; NaN where that is unknown."""
        ...

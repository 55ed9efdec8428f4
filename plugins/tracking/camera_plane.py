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
    def is_valid(self) -> BoolArray:
        """False behind the horizon and where the map is absurd."""
        ...


class CameraPlane(Protocol):
    """One calibrated camera over a flat floor."""

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

    def project_height(self, position_m: FloatArray, height_m: FloatArray) -> FloatArray | None:
        """Where points ``height_m`` (N,) above the floor appear; None without a camera pose."""
        ...

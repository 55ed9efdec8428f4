"""``homographies.json``: the calibrated cameras beside a recording.

Each of ``cameras`` gives its floor in one of two ways: ``H_undistorted_image_to_ground_m`` with
``K`` and ``dist`` (undistort first), or ``H_image_to_ground_m``, with ``P_3x4`` where the
projection is known.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from scipy.linalg import rq

from homography.errors import CalibrationError
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from plugins.errors import InvalidInputError

FILE = "homographies.json"
Matrix = list[list[float]]


class Calibration(msgspec.Struct, frozen=True):
    """One camera of the file; ``width`` and ``height`` in pixels where it says so."""

    H_undistorted_image_to_ground_m: Matrix | None = None
    H_image_to_ground_m: Matrix | None = None
    K: Matrix | None = None
    dist: list[float] | None = None
    P_3x4: Matrix | None = None
    width: int | None = None
    height: int | None = None


class Calibrations(msgspec.Struct, frozen=True):
    """The file. ``note`` may say ``Image 1920x1024`` and ``4 fps``."""

    cameras: dict[str, Calibration]
    note: str = ""

    def noted_size(self) -> tuple[int, int] | None:
        """Width and height that the note names."""
        found = re.search(r"[Ii]mage\s+(\d+)\s*[x\u00d7]\s*(\d+)", self.note)
        return (int(found[1]), int(found[2])) if found else None

    def noted_rate_hz(self) -> float | None:
        """Frames a second that the note names."""
        found = re.search(r"(\d+(?:\.\d+)?)\s*fps", self.note)
        return float(found[1]) if found else None


def read_calibrations(folder: Path) -> Calibrations:
    """InvalidInputError where the file cannot be understood."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibrations)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInputError(
            f"{path} cannot be used ({error}): give "
            '{"cameras": {"NAME": {"H_image_to_ground_m": [[…]]}}}'
        ) from error


def planes_of(
    calibrations: Calibrations, sizes: Mapping[str, tuple[int, int]], folder: Path
) -> dict[str, GroundPlane]:
    """The floor as each camera of ``sizes`` (width, height) sees it."""
    planes = {}
    for camera_id, (width, height) in sizes.items():
        camera = calibrations.cameras.get(camera_id)
        if camera is None:
            raise InvalidInputError(
                f"{folder / FILE} has no camera {camera_id!r}, only "
                f"{', '.join(calibrations.cameras)}: name them alike"
            )
        try:
            planes[camera_id] = _plane(camera, width, height)
        except (CalibrationError, ValueError) as error:
            raise InvalidInputError(f"{folder / FILE}, camera {camera_id}: {error}") from error
    return planes


def _plane(camera: Calibration, width: int, height: int) -> GroundPlane:
    if camera.H_undistorted_image_to_ground_m is not None:
        if camera.K is None:
            raise CalibrationError("H_undistorted_image_to_ground_m needs K beside it")
        lens = Lens.from_coefficients(camera.K, camera.dist)
        matrix = camera.H_undistorted_image_to_ground_m
        return GroundPlane.from_matrix(matrix, width, height, lens=lens)
    if camera.H_image_to_ground_m is None:
        raise CalibrationError("give H_image_to_ground_m or H_undistorted_image_to_ground_m")
    pinhole = None if camera.P_3x4 is None else _pinhole(camera.P_3x4)
    return GroundPlane.from_matrix(camera.H_image_to_ground_m, width, height, lens=pinhole)


def _pinhole(projection: Matrix) -> Lens:
    """K of a projection matrix; its small skew is left out."""
    K = np.abs(rq(np.array(projection, float)[:, :3])[0])
    K[0, 1] = 0.0
    return Lens.from_coefficients(K / K[2, 2])

"""Cameras as they hang in buildings: any height, direction, angle of view and lens."""

import numpy as np
import numpy.typing as npt

from homography.environment import Camera
from homography.errors import CalibrationError
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from training.camera_view import Grade, View, view_of
from training.room import Room

Array = npt.NDArray[np.float64]


def random_views(
    room: Room, count: int, size: tuple[int, int], random: np.random.Generator
) -> list[tuple[View, Grade]]:
    """``count`` cameras in the room with pictures of ``size`` (width, height) pixels."""
    views: list[tuple[View, Grade]] = []
    while len(views) < count:
        try:
            camera = _camera(f"r{len(views)}", room, size, random)
            views.append((view_of(camera), _grade(random)))
        except CalibrationError:  # it does not look at the floor
            continue
    return views


def _camera(name: str, room: Room, size: tuple[int, int], random: np.random.Generator) -> Camera:
    width, height = size
    K, distortion = _lens(size, random)
    rotation, centre = _pose(room, random)
    lens = Lens.from_coefficients(K, distortion)
    shift = -rotation @ centre
    to_image = K @ np.column_stack([rotation[:, 0], rotation[:, 1], shift])
    matrix = np.linalg.inv(to_image)
    plane = GroundPlane.from_matrix(matrix, width, height, lens=lens)
    if plane.projection is None or plane.camera_centre_m is None:
        raise CalibrationError("no pose follows from the matrix")
    if np.hypot(*(plane.camera_centre_m[:2] - centre[:2])) > 0.1:
        raise CalibrationError("the picture's bottom is above the horizon")
    return Camera(name, name, "", width, height, 10.0, name, plane, None, ())


def _lens(size: tuple[int, int], random: np.random.Generator) -> tuple[Array, Array]:
    width, height = size
    angle = np.radians(random.uniform(48, 108))
    focal = width / 2 / np.tan(angle / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    if random.uniform() < 0.4:
        return K, np.zeros(5)
    # Wide lenses bend more; 0.2 of the square of the half angle's tangent stays invertible.
    bent = float(random.uniform(-0.16, 0.02) / max(0.5, np.tan(angle / 2) ** 2))
    return K, np.array([bent, 0.0, *random.normal(0, 0.0008, 2), 0.0])


def _pose(room: Room, random: np.random.Generator) -> tuple[Array, Array]:
    """Rotation (3, 3) from map to camera and the camera's place, mostly at the room's edge."""
    size = np.array(room.bounds_m[2:])
    share = random.uniform(0.02, 0.98, 2)
    if random.uniform() < 0.8:
        share[random.integers(2)] = random.choice([0.03, 0.97])
    top = min(room.ceiling_m - 0.15, 5.0)
    centre = np.array([*(share * size), random.uniform(min(1.8, top - 0.1), top)])
    target = np.array([*(random.uniform(0.2, 0.8, 2) * size), random.uniform(0.0, 1.3)])
    forward = target - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    upright = np.stack([right, np.cross(forward, right), forward])
    tilt = np.radians(random.normal(0, 2.0))
    turn = np.array(
        [[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1.0]]
    )
    return turn @ upright, centre


def _grade(random: np.random.Generator) -> Grade:
    red, green, blue = np.exp(random.normal(0, (0.09, 0.03, 0.09))).tolist()
    return Grade(
        exposure=float(np.exp(random.normal(0.05, 0.28))),
        gain_rgb=(red, green, blue),
        vignette=float(random.uniform(0.0, 0.4)),
        noise=1.2,
        blur_px=float(random.uniform(0.3, 0.7)),
    )

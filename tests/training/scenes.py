"""Cameras, people and motions for the renderer's tests, without any file."""

import numpy as np

from homography.environment import Camera
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from tests.homography.synthetic_camera import NO_DISTORTION, camera_looking_at
from training.gait import Motion

WIDTH, HEIGHT = 640, 360


def camera(
    camera_id="a", target_m=(6.0, 5.0), centre_m=(0.4, 0.4, 2.8), distortion=NO_DISTORTION
) -> Camera:
    """640x360, its pose known exactly."""
    real = camera_looking_at(target_m, centre_m, focal_px=700.0)
    scale = np.diag([WIDTH / 1280, HEIGHT / 720, 1.0])
    lens = Lens.from_coefficients(scale @ real.K, distortion)
    matrix = real.image_to_ground @ np.linalg.inv(scale)
    plane = GroundPlane.from_matrix(matrix, WIDTH, HEIGHT, lens=lens)
    return Camera(camera_id, camera_id, "", WIDTH, HEIGHT, 10.0, camera_id, plane, None, ())


def standing(position_m, heading_rad=0.0, frames=1) -> Motion:
    """Somebody who stays where they are."""
    still = np.zeros(frames)
    place = np.tile(np.asarray(position_m, float), (frames, 1))
    return Motion(place, still + heading_rad, still, still, np.arange(frames) / 10)

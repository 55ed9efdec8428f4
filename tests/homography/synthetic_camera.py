"""A camera whose pose is known, to hold the ground plane against."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 1280, 720
NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)
BARREL = (-0.25, 0.12, 0.001, -0.0015, -0.03)


@dataclass(frozen=True)
class SyntheticCamera:
    """``R``, ``t`` take world to camera, floor at z = 0, z up."""

    K: npt.NDArray[np.float64]
    R: npt.NDArray[np.float64]
    t: npt.NDArray[np.float64]
    distortion: npt.NDArray[np.float64]

    @property
    def centre_m(self):
        return -self.R.T @ self.t

    @property
    def image_to_ground(self):
        return np.linalg.inv(self.K @ np.column_stack([self.R[:, 0], self.R[:, 1], self.t]))

    def project(self, points_m):
        points = np.asarray(points_m, dtype=float).reshape(-1, 1, 3)
        rotation, _ = cv2.Rodrigues(self.R)
        px, _ = cv2.projectPoints(points, rotation, self.t, self.K, self.distortion)
        return px.reshape(-1, 2)

    def project_floor(self, position_m, height_m=0.0):
        position = np.asarray(position_m, dtype=float)
        heights = np.broadcast_to(np.asarray(height_m, dtype=float), (len(position),))
        return self.project(np.column_stack([position, heights]))


def camera_looking_at(
    target_m=(0.0, 4.0), centre_m=(0.5, -2.0, 3.0), focal_px=900.0, distortion=NO_DISTORTION
) -> SyntheticCamera:
    """A camera at ``centre_m`` whose optical axis meets the floor in ``target_m``, upright."""
    centre = np.asarray(centre_m, dtype=float)
    forward = np.array([*target_m, 0.0]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[focal_px, 0, (WIDTH - 1) / 2], [0, focal_px, (HEIGHT - 1) / 2], [0.0, 0.0, 1.0]])
    return SyntheticCamera(K, R, -R @ centre, np.asarray(distortion, dtype=float))


def floor_grid(x=(-2.0, 3.0), y=(1.0, 8.0), count=6):
    """Positions (count ** 2, 2) in metres that the default camera sees."""
    across, along = np.meshgrid(np.linspace(*x, count), np.linspace(*y, count))
    return np.column_stack([across.ravel(), along.ravel()])

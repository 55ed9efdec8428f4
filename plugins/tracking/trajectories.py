"""How people move over the floor: one smoothed state each, fused from all cameras.

A state is (x_m, y_m, height_m, vx_mps, vy_mps); the height of a person hardly changes.
"""

import numpy as np

from plugins.tracking import kalman
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters

_MOVING = np.ix_([0, 1, 3, 4], [0, 1, 3, 4])
_HEIGHT_DRIFT = 0.02


def begin(
    state: FloatArray, cov: FloatArray, parameters: TrackingParameters
) -> tuple[FloatArray, FloatArray]:
    """State (5,) and covariance (5, 5) of a person first measured as (x, y, height)."""
    full = np.zeros((5, 5))
    full[:3, :3] = cov
    full[3:, 3:] = parameters.walking_speed_mps**2 * np.eye(2)
    return np.concatenate([state, np.zeros(2)]), full


def predict(
    mean: FloatArray, cov: FloatArray, dt_s: float, parameters: TrackingParameters
) -> tuple[FloatArray, FloatArray]:
    """Moves people (N, 5) on by a time that may be any length."""
    F = np.eye(5)
    F[0, 3] = F[1, 4] = dt_s
    Q = np.zeros((5, 5))
    Q[_MOVING] = parameters.acceleration_mps15**2 * kalman.acceleration_noise(dt_s, 2)
    Q[2, 2] = _HEIGHT_DRIFT**2 * dt_s
    return kalman.predict(mean, cov, F, Q)


def correct(
    mean: FloatArray,
    cov: FloatArray,
    persons: list[int],
    measured: FloatArray,
    measured_cov: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Fuses measurements (M, 3) of the people at rows ``persons`` (M,) into (N, 5), all at once."""
    inverse = np.linalg.inv(measured_cov)
    information = np.zeros((len(mean), 3, 3))
    weighted = np.zeros((len(mean), 3))
    np.add.at(information, persons, inverse)
    np.add.at(weighted, persons, (inverse @ measured[..., None])[..., 0])
    return kalman.fuse(mean, cov, information, weighted)


def slowed(mean: FloatArray, max_speed_mps: float) -> FloatArray:
    """States (N, 5) with no velocity over what people can do."""
    speed = np.linalg.norm(mean[:, 3:], axis=1)
    factor = np.minimum(1.0, max_speed_mps / np.maximum(speed, 1e-9))
    return np.concatenate([mean[:, :3], mean[:, 3:] * factor[:, None]], axis=1)


def uncertainty_m(cov: FloatArray) -> float:
    """Larger standard deviation on the floor of a covariance (D, D) that begins with x, y."""
    return float(np.sqrt(max(np.linalg.eigvalsh(cov[:2, :2])[-1], 0.0)))

"""How people move over the floor: one smoothed state each, fused from all cameras.

A state is (x_m, y_m, height_m, width_m, vx_mps, vy_mps); people's height and width hardly change.
"""

import math

import numpy as np

from plugins.tracking import kalman
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters

_MOVING = np.ix_([0, 1, 4, 5], [0, 1, 4, 5])
_SIZE_DRIFT = np.array([0.01, 0.03])
_WIDTH_M, _WIDTH_SIGMA_M = 0.6, 0.12


def begin(
    state: FloatArray, cov: FloatArray, parameters: TrackingParameters
) -> tuple[FloatArray, FloatArray]:
    """State (6,) and covariance (6, 6) of a person first measured as (x, y, height)."""
    full = np.zeros((6, 6))
    full[:3, :3] = cov
    full[3, 3] = _WIDTH_SIGMA_M**2
    full[4:, 4:] = parameters.walking_speed_mps**2 * np.eye(2)
    return np.concatenate([state, [_WIDTH_M], np.zeros(2)]), full


def predict(
    mean: FloatArray, cov: FloatArray, dt_s: float, parameters: TrackingParameters
) -> tuple[FloatArray, FloatArray]:
    """Moves people (N, 6) on by a time that may be any length."""
    F = np.eye(6)
    F[0, 4] = F[1, 5] = dt_s
    Q = np.zeros((6, 6))
    Q[_MOVING] = parameters.acceleration_mps15**2 * kalman.acceleration_noise(dt_s, 2)
    Q[[2, 3], [2, 3]] = _SIZE_DRIFT**2 * dt_s
    return kalman.predict(mean, cov, F, Q)


def slowed(mean: FloatArray, max_speed_mps: float) -> FloatArray:
    """States (N, 6) with no velocity over what people can do."""
    speed = np.linalg.norm(mean[:, 4:], axis=1)
    factor = np.minimum(1.0, max_speed_mps / np.maximum(speed, 1e-9))
    return np.concatenate([mean[:, :4], mean[:, 4:] * factor[:, None]], axis=1)


def uncertainty_m(cov: FloatArray) -> float:
    """Larger standard deviation on the floor of a covariance (D, D) that begins with x, y."""
    xx, xy, yy = float(cov[0, 0]), float(cov[0, 1]), float(cov[1, 1])
    return math.sqrt(max((xx + yy) / 2 + math.hypot((xx - yy) / 2, xy), 0.0))

"""Kalman filters over stacks of people.

State vectors (D,) begin with what is measured. States come and go in whole stacks (leading axis
N), so one call serves everybody on the floor.
"""

import numpy as np

from plugins.tracking.camera_plane import FloatArray


def acceleration_noise(dt_s: float, axes: int) -> FloatArray:
    """Q (2 * axes, 2 * axes) of ``(position…, velocity…)`` for white acceleration of unit density
    (Bar-Shalom et al., 2001, eq. 6.2.2-12).

    Multiply by the squared density. Independent of how a time span is cut into steps.
    """
    Q = np.zeros((2 * axes, 2 * axes))
    one = np.eye(axes)
    Q[:axes, :axes] = dt_s**3 / 3 * one
    Q[:axes, axes:] = Q[axes:, :axes] = dt_s**2 / 2 * one
    Q[axes:, axes:] = dt_s * one
    return Q


def predict(
    mean: FloatArray, cov: FloatArray, F: FloatArray, Q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Moves means (N, D) and covariances (N, D, D) on; F is (D, D), Q (D, D) or (N, D, D)."""
    return mean @ F.T, F @ cov @ F.T + Q


def innovation(
    mean: FloatArray, cov: FloatArray, z: FloatArray, R: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Residual (N, M) and its covariance (N, M, M) where the first M state entries are measured."""
    M = z.shape[-1]
    return z - mean[..., :M], cov[..., :M, :M] + R


def update(
    mean: FloatArray, cov: FloatArray, z: FloatArray, R: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Corrects (N, D) states by measurements (N, M) of their first M entries, Joseph form."""
    M, D = z.shape[-1], mean.shape[-1]
    residual, S = innovation(mean, cov, z, R)
    gain = np.linalg.solve(S, cov[..., :M, :]).swapaxes(-1, -2)
    keep = np.broadcast_to(np.eye(D), cov.shape).copy()
    keep[..., :M] -= gain
    mean = mean + (gain @ residual[..., None])[..., 0]
    return mean, keep @ cov @ keep.swapaxes(-1, -2) + gain @ R @ gain.swapaxes(-1, -2)


def fuse(
    mean: FloatArray, cov: FloatArray, information: FloatArray, weighted: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Corrects states by any number of measurements at once, in information form.

    ``information`` (N, M, M) sums the inverse covariances of measurements of the first M entries,
    ``weighted`` (N, M) those inverses times the measurements. Zeros leave a state as it is.
    """
    M, D = weighted.shape[-1], mean.shape[-1]
    P = cov[..., :M]
    rest = weighted[..., None] - information @ mean[..., :M, None]
    mixed = np.eye(M) + information @ P[..., :M, :]
    told = np.concatenate([information @ P.swapaxes(-1, -2), rest], axis=-1)
    step = P @ np.linalg.solve(mixed, told)
    cov = cov - step[..., :D]
    return mean + step[..., D], (cov + cov.swapaxes(-1, -2)) / 2


def log_evidence(
    mean: FloatArray, cov: FloatArray, information: FloatArray, weighted: FloatArray
) -> FloatArray:
    """Log-likelihood (...) of measurements in information form, as in ``fuse``, for states
    (..., D), up to a constant that depends on the measurements alone.
    """
    M = weighted.shape[-1]
    m, P = mean[..., :M], cov[..., :M, :M]
    pull = (information @ m[..., None])[..., 0]
    rest = weighted - pull
    mixed = np.eye(M) + P @ information
    spread = np.linalg.slogdet(mixed)[1]
    step = np.linalg.solve(mixed, P @ rest[..., None])[..., 0]
    quadratic = (weighted * m).sum(-1) - 0.5 * (m * pull).sum(-1) + 0.5 * (rest * step).sum(-1)
    return np.asarray(quadratic - 0.5 * spread)


def squared_distance(residual: FloatArray, S: FloatArray) -> FloatArray:
    """Squared Mahalanobis distance (...) of residuals (..., M) under covariances (..., M, M)."""
    solved = np.linalg.solve(S, residual[..., None])[..., 0]
    return np.asarray((residual * solved).sum(axis=-1))


def log_likelihood(residual: FloatArray, S: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gaussian log density (...) and squared Mahalanobis distance (...) of residuals."""
    squared = squared_distance(residual, S)
    log_determinant = np.linalg.slogdet(S)[1]
    M = residual.shape[-1]
    return -0.5 * (squared + log_determinant + M * np.log(2 * np.pi)), squared

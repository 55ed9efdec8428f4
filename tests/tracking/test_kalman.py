"""The filters' arithmetic, against what is known in closed form."""

import numpy as np
import pytest

from plugins.tracking import kalman


def spd(rng, n, size):
    root = rng.normal(size=(n, size, size))
    return root @ root.swapaxes(1, 2) + np.eye(size)


def moved(dt_s, mean, cov):
    """States ``(x, y, velocity x, velocity y)`` after ``dt_s``."""
    F = np.eye(4) + dt_s * np.eye(4, k=2)
    return kalman.predict(mean, cov, F, kalman.acceleration_noise(dt_s, 2))


def test_prediction_does_not_depend_on_how_time_is_cut():
    """One step of 0.7 s is exactly seven steps of 0.1 s: dropped sets cost nothing."""
    rng = np.random.default_rng(0)
    mean, cov = rng.normal(size=(3, 4)), spd(rng, 3, 4)
    once = moved(0.7, mean, cov)
    for _ in range(7):
        mean, cov = moved(0.1, mean, cov)
    np.testing.assert_allclose(mean, once[0])
    np.testing.assert_allclose(cov, once[1])


def test_update_is_the_weighted_mean_of_prediction_and_measurement():
    """Equal variances meet half way and halve."""
    mean, cov = kalman.update(
        np.array([[0.0, 0.0]]), np.diag([4.0, 1.0])[None], np.array([[2.0]]), np.array([[[4.0]]])
    )
    np.testing.assert_allclose(mean, [[1.0, 0.0]])
    np.testing.assert_allclose(cov, np.diag([2.0, 1.0])[None])


def test_fusing_at_once_equals_updating_one_by_one():
    """Two cameras' measurements give the same, together or in turn; none changes nothing."""
    rng = np.random.default_rng(1)
    mean, cov = rng.normal(size=(2, 5)), spd(rng, 2, 5)
    z, R = rng.normal(size=(2, 2, 3)), spd(rng, 2, 3)
    one = kalman.update(*kalman.update(mean[:1], cov[:1], z[0, :1], R[:1]), z[1, :1], R[1:])
    inverse = np.linalg.inv(R)
    information = np.stack([inverse.sum(axis=0), np.zeros((3, 3))])
    weighted = np.stack([inverse[0] @ z[0, 0] + inverse[1] @ z[1, 0], np.zeros(3)])
    fused_mean, fused_cov = kalman.fuse(mean, cov, information, weighted)
    np.testing.assert_allclose(fused_mean[0], one[0][0])
    np.testing.assert_allclose(fused_cov[0], one[1][0], atol=1e-12)
    np.testing.assert_allclose(fused_mean[1], mean[1])
    np.testing.assert_allclose(fused_cov[1], cov[1])


def test_distance_and_likelihood():
    """Two standard deviations off along one axis: distance 4, density as the textbook has it."""
    S = np.diag([4.0, 1.0])
    log_density, squared = kalman.log_likelihood(np.array([4.0, 0.0]), S)
    assert squared == pytest.approx(4.0)
    assert log_density == pytest.approx(-2.0 - np.log(2 * np.pi) - 0.5 * np.log(4.0))

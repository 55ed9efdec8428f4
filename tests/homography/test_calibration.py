import re

import numpy as np
import pytest

from homography.calibration import CalibrationError, fit_homography
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from tests.homography.synthetic_camera import (
    BARREL,
    HEIGHT,
    WIDTH,
    camera_looking_at,
    floor_grid,
)

SIZE = (WIDTH, HEIGHT)


def pairs(count=4, noise_m=0.0, distortion=(0, 0, 0, 0, 0), seed=3):
    camera = camera_looking_at(distortion=distortion)
    ground = floor_grid(count=count)
    noise = np.random.default_rng(seed).normal(size=ground.shape) * noise_m
    return camera, camera.project_floor(ground), ground + noise


def mapped(fit, px):
    return GroundPlane.from_fit(fit, *SIZE).to_ground(px).position_m


def test_exact_pairs_give_the_true_homography():
    """Without noise every residual is nothing and unseen points map truly."""
    camera, image, ground = pairs()
    fit = fit_homography(image, ground, image_size=SIZE)
    assert fit.residual_m.max() < 1e-9
    assert fit.leave_one_out_rmse_m < 1e-9
    assert fit.warnings == ()
    unseen = floor_grid(count=5)
    np.testing.assert_allclose(mapped(fit, camera.project_floor(unseen)), unseen, atol=1e-8)


def test_four_pairs_are_fitted_exactly_but_doubted():
    """Four pairs determine the fit; it says that nothing checks them, and keeps an uncertainty."""
    _, image, ground = pairs(count=2)
    fit = fit_homography(image, ground)
    assert fit.rmse_m < 1e-9
    assert np.isnan(fit.leave_one_out_rmse_m)
    assert fit.sigma_m >= 0.05
    assert any("only 4 point pairs" in warning for warning in fit.warnings)


def test_refinement_minimises_the_distance_on_the_floor():
    """No small change of the matrix brings the noisy points nearer."""
    _, image, ground = pairs(noise_m=0.1)
    fit = fit_homography(image, ground)

    def squares(matrix):
        p = np.column_stack([image, np.ones(len(image))]) @ matrix.T
        return float(((p[:, :2] / p[:, 2:] - ground) ** 2).sum())

    assert squares(fit.image_to_ground) == pytest.approx(len(ground) * fit.rmse_m**2)
    rng = np.random.default_rng(0)
    for _ in range(50):
        changed = fit.image_to_ground * (1 + 1e-4 * rng.normal(size=(3, 3)))
        assert squares(changed) >= squares(fit.image_to_ground)


def test_residuals_are_in_metres_and_pixels_per_pair():
    """Moving one pair by a metre shows at that pair in both units."""
    _, image, ground = pairs(noise_m=0.01)
    ground[5] += (1.0, 0.0)
    fit = fit_homography(image, ground)
    assert int(np.argmax(fit.residual_m)) == 5
    assert fit.residual_m[5] == pytest.approx(1.0, abs=0.1)
    assert fit.residual_px[5] > 20


def test_gross_mistakes_are_left_out_and_named():
    """Two swapped pairs among sixteen cost nothing but a warning that names them."""
    camera, image, ground = pairs(noise_m=0.02)
    ground[[2, 12]] = ground[[12, 2]]
    fit = fit_homography(image, ground)
    assert np.flatnonzero(~fit.is_inlier).tolist() == [2, 12]
    assert any("number 3, 13" in warning for warning in fit.warnings)
    unseen = floor_grid(count=5)
    error = mapped(fit, camera.project_floor(unseen)) - unseen
    assert np.hypot(*error.T).max() < 0.1


def test_ordinary_noise_leaves_nobody_out():
    """Pairs on a plan that is a hand's breadth off everywhere are all used."""
    for seed in range(10):
        _, image, ground = pairs(noise_m=0.3, seed=seed)
        assert fit_homography(image, ground).is_inlier.all()


def test_stated_uncertainty_is_the_real_one():
    """Over many noisy calibrations, errors at a point have the covariance that fits claim."""
    camera = camera_looking_at()
    position = np.array([[0.5, 4.0], [3.0, 8.0], [-4.0, 9.0]])
    px = camera.project_floor(position)
    whitened = []
    for seed in range(150):
        _, image, ground = pairs(noise_m=0.1, seed=seed)
        fit = fit_homography(image, ground)
        # Of a noiseless truth only the matrix's part applies, not the pairs' own scatter.
        plane = GroundPlane.from_matrix(
            fit.image_to_ground,
            *SIZE,
            error_m=0.0,
            matrix_covariance=fit.matrix_covariance,
            floor_px=fit.floor_px,
        )
        points = plane.to_ground(px, sigma_px=0.0)
        error = points.position_m - position
        whitened.append(
            np.einsum("ni,nij,nj->n", error, np.linalg.inv(points.covariance_m2), error)
        )
    # Chi-square of two degrees of freedom: mean 2.
    assert np.mean(whitened, axis=0) == pytest.approx([2.0] * 3, rel=0.3)


def test_extrapolating_is_less_certain_than_interpolating():
    """Far from the pairs the fit claims less."""
    camera, image, ground = pairs(noise_m=0.05)
    plane = GroundPlane.from_fit(fit_homography(image, ground), *SIZE)
    px = camera.project_floor([[0.5, 4.0], [0.5, 20.0]])
    inside, outside = plane.to_ground(px, sigma_px=0.0).covariance_m2
    assert np.trace(outside) > 2 * np.trace(inside)


def test_a_lens_is_taken_out_before_the_fit():
    """Pairs from a bent picture fit exactly with the lens, and badly without."""
    camera, image, ground = pairs(distortion=BARREL)
    lens = Lens.from_coefficients(camera.K, camera.distortion)
    fit = fit_homography(image, ground, lens=lens)
    assert fit.rmse_m < 1e-3
    assert fit_homography(image, ground).rmse_m > 10 * fit.rmse_m
    plane = GroundPlane.from_fit(fit, *SIZE, lens=lens)
    np.testing.assert_allclose(plane.to_ground(image).position_m, ground, atol=5e-3)


def test_side_of_the_horizon_follows_from_the_pairs():
    """Also a camera hung upside down knows floor from sky."""
    camera = camera_looking_at(target_m=(0.5, 12.0))
    ground = floor_grid(x=(-1.0, 2.0), y=(4.0, 12.0), count=4)
    turned = (WIDTH - 1, HEIGHT - 1) - camera.project_floor(ground)
    plane = GroundPlane.from_fit(fit_homography(turned, ground), *SIZE)
    np.testing.assert_allclose(plane.to_ground(turned).position_m, ground, atol=1e-6)
    assert not plane.to_ground([[WIDTH / 2, HEIGHT - 1.0]]).is_valid.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image, ground: (image, ground + np.arange(16)[:, None] % 3), "poor fit"),
        (lambda image, ground: (image * (0.1, 0.1), ground), "cover [01]% of the picture"),
        (lambda image, ground: (image, ground * (0.01, 1)), "ground points lie nearly on one line"),
    ],
)
def test_doubts_are_told(change, words):
    """What makes a fit doubtful is said, whatever the residuals are."""
    _, image, ground = pairs()
    fit = fit_homography(*change(image, ground), image_size=SIZE)
    assert any(re.search(words, warning) for warning in fit.warnings)


def test_a_pair_behind_the_horizon_is_told():
    """A pair in the sky cannot be mapped by the fit of the others and is named."""
    camera = camera_looking_at(target_m=(0.5, 12.0))
    ground = floor_grid(x=(-1.0, 2.0), y=(4.0, 12.0), count=4)
    image = camera.project_floor(ground)
    image[15] = (WIDTH / 2, 1.0)
    fit = fit_homography(image, ground)
    assert any("horizon" in warning and "16" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    ("image", "ground", "words"),
    [
        (np.eye(3)[:, :2], np.eye(3)[:, :2], "3 point pairs"),
        (np.zeros((5, 2)), np.zeros((4, 2)), "5 image points but 4 ground points"),
        (np.arange(12).reshape(6, 2), floor_grid(count=3)[:6], "image points lie on one line"),
        (floor_grid(count=2), np.ones((4, 2)), "ground points lie on one line"),
        (
            [[0, 0], [1, 1], [2, 2], [3, 3], [0, 5]],
            [[0, 0], [1, 1], [2, 2], [3, 3], [0, 5]],
            "determine no homography",
        ),
        (
            [[0, 0], [9, 0], [0, 9], [0, 9]],
            [[0, 0], [1, 0], [0, 1], [0, 1]],
            "determine no homography",
        ),
        ([[0, 0], [9, 0], [0, 9], [9, np.nan]], floor_grid(count=2), "image point must be"),
        (floor_grid(count=2), [[0, 0], [9, 0], [0, 9], [9, np.inf]], "ground point must be"),
    ],
)
def test_pairs_that_fix_nothing_are_refused(image, ground, words):
    """Each kind of unusable pairs has its own message."""
    with pytest.raises(CalibrationError, match=words):
        fit_homography(image, ground)

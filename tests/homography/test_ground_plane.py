import numpy as np
import pytest

from homography.errors import CalibrationError
from homography.ground_plane import GroundPlane
from homography.lens import Lens
from tests.homography.synthetic_camera import (
    BARREL,
    HEIGHT,
    NO_DISTORTION,
    WIDTH,
    SyntheticCamera,
    camera_looking_at,
    floor_grid,
)


def plane_of(camera: SyntheticCamera, *, with_lens=True, **options) -> GroundPlane:
    lens = Lens.from_coefficients(camera.K, camera.distortion) if with_lens else None
    return GroundPlane.from_matrix(camera.image_to_ground, WIDTH, HEIGHT, lens=lens, **options)


@pytest.mark.parametrize("distortion", [NO_DISTORTION, BARREL])
def test_feet_come_back_to_the_metre_they_stand_on(distortion):
    """A picture's foot pixels map to the true positions, and those back to the pixels."""
    camera = camera_looking_at(distortion=distortion)
    plane, position = plane_of(camera), floor_grid()
    foot_px = camera.project_floor(position)
    points = plane.to_ground(foot_px)
    assert points.is_valid.all()
    np.testing.assert_allclose(points.position_m, position, atol=1e-3)
    np.testing.assert_allclose(plane.to_image(position), foot_px, atol=1e-6)


@pytest.mark.parametrize("distortion", [NO_DISTORTION, BARREL])
def test_covariance_is_that_of_noisy_pixels(distortion):
    """The covariance agrees with the spread of positions under pixel noise of that size."""
    camera, rng = camera_looking_at(distortion=distortion), np.random.default_rng(7)
    plane, sigma_px = plane_of(camera, error_m=0.0), np.array([2.0, 1.0])
    for position in floor_grid(count=3):
        foot_px = camera.project_floor(position[None])
        noisy = foot_px + rng.normal(size=(20_000, 2)) * sigma_px
        measured = np.cov(plane.to_ground(noisy).position_m.T)
        stated = plane.to_ground(foot_px, sigma_px[None]).covariance_m2[0]
        np.testing.assert_allclose(stated, measured, rtol=0.1, atol=0.02 * np.trace(measured))


def test_calibration_error_adds_to_the_pixels():
    """With exact pixels what remains is the calibration's own error, in both axes."""
    plane = plane_of(camera_looking_at(), error_m=0.3)
    points = plane.to_ground([[WIDTH / 2, HEIGHT - 1]], sigma_px=0.0)
    np.testing.assert_allclose(points.covariance_m2[0], 0.09 * np.eye(2))


def test_uncertainty_grows_with_distance():
    """A pixel is more floor far away than near by."""
    camera = camera_looking_at()
    foot_px = camera.project_floor([[0.0, 1.0], [0.0, 8.0], [0.0, 15.0]])
    sizes = [np.trace(c) for c in plane_of(camera).to_ground(foot_px).covariance_m2]
    assert sizes == sorted(sizes)


def test_above_and_near_the_horizon_nothing_is_mapped():
    """Sky gives NaN, not a place behind the camera, and neither does floor too far to be told."""
    camera = camera_looking_at(target_m=(0.5, 12.0))
    horizon_y = camera.project([[0.5, 1e9, 3.0]])[0, 1]
    rows = np.array([0.0, horizon_y - 1, horizon_y, horizon_y + 3, HEIGHT - 1])
    assert 0 < horizon_y < HEIGHT
    points = plane_of(camera).to_ground(np.column_stack([np.full(5, WIDTH / 2), rows]))
    assert points.is_valid.tolist() == [False, False, False, False, True]
    assert np.isnan(points.position_m[:4]).all()
    assert np.isnan(points.covariance_m2[:4]).all()


@pytest.mark.parametrize("factor", [1.0, -3.0, 1e-6])
def test_scale_and_sign_of_the_matrix_do_not_matter(factor):
    """A homography means the same times any number; the horizon guard knows which side is floor."""
    camera = camera_looking_at()
    plane = GroundPlane.from_matrix(factor * camera.image_to_ground, WIDTH, HEIGHT)
    foot_px = camera.project_floor(floor_grid())
    np.testing.assert_allclose(plane.to_ground(foot_px).position_m, floor_grid(), atol=1e-9)


def test_floor_behind_the_camera_has_no_pixel():
    """The mirror image of points behind the camera is not shown."""
    plane = plane_of(camera_looking_at())
    assert np.isnan(plane.to_image([[0.5, -8.0]])).all()
    assert np.isnan(plane.project_height([[0.5, -8.0]], 1.7)).all()


def test_values_that_are_not_finite_stay_invalid():
    """A NaN foot point spoils itself only."""
    for with_lens in (True, False):
        plane = plane_of(camera_looking_at(), with_lens=with_lens)
        points = plane.to_ground([[np.nan, 3.0], [WIDTH / 2, HEIGHT - 1], [np.inf, 1.0]])
        assert points.is_valid.tolist() == [False, True, False]


def test_no_feet_no_points():
    """An empty frame gives empty arrays of the right shapes."""
    for with_lens in (True, False):
        plane = plane_of(camera_looking_at(), with_lens=with_lens)
        points = plane.to_ground(np.empty((0, 2)))
        assert len(points) == 0
        assert points.covariance_m2.shape == (0, 2, 2)
        assert plane.to_image(np.empty((0, 2))).shape == (0, 2)
        assert plane.project_height(np.empty((0, 2)), 1.7).shape == (0, 2)


@pytest.mark.parametrize("distortion", [NO_DISTORTION, BARREL])
def test_heads_are_where_the_camera_sees_them(distortion):
    """With K given, heights project as through the true camera, each person their own."""
    camera = camera_looking_at(distortion=distortion)
    plane, position = plane_of(camera), floor_grid()
    height_m = np.linspace(0.5, 2.0, len(position))
    np.testing.assert_allclose(
        plane.project_height(position, height_m),
        camera.project_floor(position, height_m),
        atol=1e-6,
    )
    np.testing.assert_allclose(plane.camera_centre_m, camera.centre_m, atol=1e-9)


def test_up_is_up_on_a_plan_drawn_with_y_down():
    """A plan whose y axis points down is a mirrored floor; heads are still above feet."""
    camera = camera_looking_at()
    flipped = np.diag([1.0, -1.0, 1.0]) @ camera.image_to_ground
    lens = Lens.from_coefficients(camera.K)
    plane = GroundPlane.from_matrix(flipped, WIDTH, HEIGHT, lens=lens)
    position = floor_grid()
    heads = plane.project_height(position * (1, -1), 1.7)
    np.testing.assert_allclose(heads, camera.project_floor(position, 1.7), atol=1e-6)
    np.testing.assert_allclose(plane.camera_centre_m, camera.centre_m * (1, -1, 1), atol=1e-9)


@pytest.mark.parametrize("centre_m", [(0.5, -2.0, 3.0), (-4.0, -1.0, 5.0), (6.0, 3.0, 2.5)])
def test_focal_length_follows_from_the_floor_alone(centre_m):
    """Without K, square pixels and a centred axis suffice to know where the camera is."""
    camera = camera_looking_at(centre_m=centre_m)
    plane = plane_of(camera, with_lens=False)
    np.testing.assert_allclose(plane.camera_centre_m, camera.centre_m, atol=1e-6)
    position = floor_grid(x=(-0.5, 0.5), y=(3.0, 5.0))
    np.testing.assert_allclose(
        plane.project_height(position, 1.7), camera.project_floor(position, 1.7), atol=1e-4
    )


def test_a_camera_straight_above_does_not_tell_its_height():
    """Seen from above, height and focal length cannot be told apart: no pose, no invented head."""
    camera = camera_looking_at(target_m=(0.5, -1.99))
    plane = plane_of(camera, with_lens=False)
    assert plane.camera_centre_m is None
    assert plane.project_height([[0.0, 0.0]], 1.7) is None
    assert plane.to_ground([[WIDTH / 2, HEIGHT / 2]]).is_valid.all()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((3, 3)), "singular"),
        (np.zeros((3, 3)), "singular"),
        (np.diag([1.0, 0.0, 1.0]), "singular"),
        (np.full((3, 3), np.inf), "finite"),
        (np.eye(4), "three rows"),
        ([[1.0, 0, 0], [0, 1, 0], [0, 1 / (HEIGHT - 1), -1]], "horizon"),
    ],
)
def test_useless_matrices_are_refused(matrix, words):
    """Whatever cannot map a floor is named at the start, not met as NaN later."""
    with pytest.raises(CalibrationError, match=words):
        GroundPlane.from_matrix(matrix, WIDTH, HEIGHT)

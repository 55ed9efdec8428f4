"""A calibration used on pictures of another size than it was made for."""

import numpy as np
import pytest

from homography.ground_plane import GroundPlane
from homography.lens import Lens
from tests.homography.synthetic_camera import HEIGHT, WIDTH, camera_looking_at

CAMERA = camera_looking_at((0.0, 0.0), (0.5, 7.0, 3.2), distortion=(-0.2, 0.05, 0.001, 0.0, 0.0))
PLANE = GroundPlane.from_matrix(
    CAMERA.image_to_ground,
    WIDTH,
    HEIGHT,
    lens=Lens.from_coefficients(CAMERA.K, CAMERA.distortion),
    matrix_covariance=np.diag(np.arange(1.0, 10.0) * 1e-12),
)
FEET_PX = np.array([[WIDTH * 0.3, HEIGHT * 0.7], [WIDTH * 0.5, HEIGHT * 0.6], [5.0, 5.0]])


@pytest.mark.parametrize("factor", [(0.5, 0.5), (2.0, 2.0), (0.25, 0.5)])
def test_a_scaled_plane_maps_scaled_pixels_to_the_same_floor(factor):
    """Positions, their uncertainty and what is no floor are those of the full picture."""
    scaled = PLANE.scaled_to(round(WIDTH * factor[0]), round(HEIGHT * factor[1]))
    expected = PLANE.to_ground(FEET_PX, 4.0)
    found = scaled.to_ground(FEET_PX * factor, np.broadcast_to(np.multiply(4.0, factor), (3, 2)))
    np.testing.assert_array_equal(found.is_valid, expected.is_valid)
    np.testing.assert_allclose(found.position_m, expected.position_m, atol=1e-6)
    np.testing.assert_allclose(found.covariance_m2, expected.covariance_m2, rtol=1e-4)


def test_people_appear_at_scaled_pixels():
    """Feet and heads are projected into the scaled picture, by the same camera."""
    scaled = PLANE.scaled_to(WIDTH // 2, HEIGHT // 2)
    spots = np.array([[0.0, 0.0], [1.0, -0.5]])
    np.testing.assert_allclose(scaled.to_image(spots), PLANE.to_image(spots) / 2, atol=1e-6)
    heads, full = scaled.project_height(spots, 1.7), PLANE.project_height(spots, 1.7)
    assert heads is not None
    assert full is not None
    np.testing.assert_allclose(heads, full / 2, atol=1e-6)
    np.testing.assert_allclose(scaled.camera_centre_m, PLANE.camera_centre_m)

import cv2
import numpy as np
import pytest

from homography.errors import CalibrationError
from homography.lens import Lens
from tests.homography.synthetic_camera import BARREL, HEIGHT, WIDTH, camera_looking_at


@pytest.fixture
def barrel() -> Lens:
    return Lens.from_coefficients(camera_looking_at().K, BARREL)


def picture_grid():
    x, y = np.meshgrid(np.linspace(0, WIDTH - 1, 9), np.linspace(0, HEIGHT - 1, 7))
    return np.column_stack([x.ravel(), y.ravel()])


def test_undistort_then_distort_returns_every_pixel_of_the_picture(barrel):
    """The two directions are inverses to a thousandth of a pixel, corners included."""
    undistorted, _, is_valid = barrel.undistort(picture_grid())
    assert is_valid.all()
    np.testing.assert_allclose(barrel.distort(undistorted), picture_grid(), atol=1e-3)


def test_undistort_agrees_with_opencv(barrel):
    """Near the axis, where OpenCV's five iterations suffice, the numbers are OpenCV's."""
    px = picture_grid()[np.hypot(*(picture_grid() - (WIDTH / 2, HEIGHT / 2)).T) < 300]
    expected = cv2.undistortPoints(px[:, None], barrel.K, barrel.distortion, P=barrel.K)
    np.testing.assert_allclose(barrel.undistort(px)[0], expected[:, 0], atol=0.02)


def test_undistortion_jacobian_is_the_derivative(barrel):
    """The analytic Jacobian equals central differences."""
    px, step = picture_grid(), 1e-2
    _, jacobian, _ = barrel.undistort(px)
    for axis in range(2):
        offset = np.eye(2)[axis] * step
        difference = barrel.undistort(px + offset)[0] - barrel.undistort(px - offset)[0]
        np.testing.assert_allclose(jacobian[:, :, axis], difference / (2 * step), atol=1e-4)


def test_points_beyond_the_lens_model_are_not_invented(barrel):
    """Where the polynomial folds back, undistorting is invalid and distorting gives NaN."""
    strong = Lens.from_coefficients(barrel.K, (-0.4, 0, 0, 0, 0))
    assert strong.max_radius == pytest.approx(np.sqrt(1 / 1.2))
    beyond = np.array([[WIDTH / 2 + 900 * 1.2, HEIGHT / 2]])
    assert not strong.undistort(beyond)[2].any()
    assert np.isnan(strong.distort(beyond)).all()


def test_no_points_are_no_error(barrel):
    """An empty frame goes through."""
    undistorted, jacobian, is_valid = barrel.undistort(np.empty((0, 2)))
    assert (undistorted.shape, jacobian.shape, is_valid.shape) == ((0, 2), (0, 2, 2), (0,))


@pytest.mark.parametrize(
    ("K", "distortion", "words"),
    [
        (np.eye(2), None, "three rows"),
        (np.full((3, 3), np.nan), None, "finite"),
        (np.diag([-900, 900, 1]), None, "fx, fy > 0"),
        (np.diag([900, 900, 1]), (0.1, 0.2), "five finite numbers"),
        (np.diag([900, 900, 1]), (0.1, 0.2, np.inf, 0, 0), "five finite numbers"),
    ],
)
def test_a_lens_that_is_none_is_refused_in_plain_words(K, distortion, words):
    with pytest.raises(CalibrationError, match=words):
        Lens.from_coefficients(K, distortion)

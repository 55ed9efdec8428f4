"""What a camera should see of a person, checked against the geometry and numerically."""

import numpy as np

from plugins.tracking import TrackingParameters
from plugins.tracking.sight import (
    EDGES,
    FOOT,
    HEAD,
    MIDDLE,
    Boxes,
    expect,
    measure,
    misfit,
    optics,
    project,
    visibility,
)
from tests.tracking.world import HEIGHT, WIDTH, box_of, camera

PLANE = camera((0.0, -6.0, 3.0), (0.0, 0.0), 800.0)
CAMERAS = optics((PLANE,))
PARAMETERS = TrackingParameters()
SHOWN, NO_BIAS = np.zeros((1, 1)), np.zeros((1, 3, 4))


def expected(*person):
    """One person (x, y, height, width) as the camera should see them."""
    return expect(project(np.array([person]), CAMERAS), CAMERAS, NO_BIAS, SHOWN, PARAMETERS)


def test_edges_are_where_the_camera_projects_feet_and_head():
    """Straight ahead: the middle is the picture's, feet and head as the plane projects them."""
    edges = expected(0.0, 1.0, 1.7, 0.5).edges_px[0, 0]
    foot, head = (PLANE.project_height(np.array([[0.0, 1.0]]), h)[0] for h in (0.0, 1.7))
    np.testing.assert_allclose(edges[[MIDDLE, FOOT, HEAD]], [foot[0], foot[1], head[1]], atol=1e-6)


def test_jacobian_agrees_with_small_steps():
    """Each column is the change of the edges by a small change of the person."""
    person = np.array([0.7, 0.4, 1.75, 0.55])
    J = expected(*person).J[0, 0]
    for k in range(4):
        step = np.eye(4)[k] * 1e-5
        ahead, back = expected(*(person + step)), expected(*(person - step))
        np.testing.assert_allclose(
            J[:, k], (ahead.edges_px[0, 0] - back.edges_px[0, 0]) / 2e-5, rtol=1e-4, atol=1e-3
        )


def test_a_camera_that_errs_to_the_right_moves_those_on_the_right_alone():
    """The slope along the picture's width, at most a share of the person's height."""
    slope = np.zeros((1, 3, EDGES))
    slope[0, 1, MIDDLE] = 0.1
    for x in (-2.0, 0.0, 2.0):
        person = project(np.array([[x, 1.0, 1.7, 0.5]]), CAMERAS)
        moved = expect(person, CAMERAS, slope, SHOWN, PARAMETERS)
        right = person.edges_px[0, 0, MIDDLE] / (WIDTH / 2) - 1.0
        assert np.sign(round(right, 6)) == np.sign(x)
        change = (moved.edges_px - person.edges_px)[0, 0] / person.size_px[0, 0]
        np.testing.assert_allclose(change, [0.1 * right, 0.0, 0.0, 0.0], atol=1e-9)
    huge = expect(person, CAMERAS, 100 * slope, SHOWN, PARAMETERS)
    assert (huge.edges_px - person.edges_px)[0, 0, MIDDLE] <= 0.15 * person.size_px[0, 0]


def test_a_cut_box_fits_whoever_reaches_beyond_the_border():
    """Feet below the picture: a box that ends at its border is no misfit, one above it is."""
    near = expected(0.0, -4.6, 1.7, 0.5)
    assert near.edges_px[0, 0, FOOT] > HEIGHT
    top = near.edges_px[0, 0, HEAD]
    for bottom, is_fitting in ((HEIGHT, True), (HEIGHT - 200, False)):
        boxes = measure(np.array([[600.0, top, 680.0, bottom]]), np.ones(1), PLANE)
        assert (misfit(Boxes.of_all([boxes]), near, CAMERAS)[0, 0, FOOT, 0] == 0.0) == is_fitting


def test_who_stands_behind_somebody_is_hardly_detected():
    """The nearer is in full view, the one straight behind is hidden."""
    two = np.array([[0.0, 0.0, 1.7, 0.5], [0.0, 0.8, 1.7, 0.5]])
    seen = visibility(project(two, CAMERAS), CAMERAS, np.array([[0.8, 1.0]]), np.zeros((1, 2))).of(
        0
    )
    assert seen.hidden[0] == 0.0
    assert seen.hidden[1] > 0.5
    assert seen.detection[1] < 0.5 * seen.detection[0]


def test_a_box_of_a_person_fits_that_person():
    """A true box of a standing cylinder is within a few hundredths of the height."""
    box = box_of(PLANE, (0.5, 1.0))
    assert box is not None
    view = expected(0.5, 1.0, 1.7, 0.44)
    boxes = Boxes.of_all([measure(box[None], np.ones(1), PLANE)])
    error = misfit(boxes, view, CAMERAS)[0, 0, :, 0] / view.size_px[0, 0]
    assert np.abs(error).max() < 0.06

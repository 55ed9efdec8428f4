"""From boxes to places, against people whose place is known."""

from dataclasses import replace

import numpy as np
import pytest

from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.standing import fit, locate
from tests.tracking.world import HEIGHT, box_of, camera, two_cameras

PARAMETERS = TrackingParameters()
PLANE = two_cameras()["east"]


@pytest.mark.parametrize("height_m", [1.55, 1.7, 1.85])
def test_whole_box_gives_place_and_height(height_m):
    """Within a hand's width and a few centimetres, and within what it claims."""
    places = [(4.0, 3.0), (5.5, 2.0), (2.0, 4.5)]
    boxes = np.array([box_of(PLANE, place, height_m) for place in places])
    standing = locate(boxes, PLANE, PARAMETERS)
    assert standing.is_valid.all()
    np.testing.assert_allclose(standing.state[:, :2], places, atol=0.2)
    np.testing.assert_allclose(standing.state[:, 2], height_m, atol=0.12)
    error = standing.state[:, :2] - places
    sigma = np.sqrt(np.diagonal(standing.cov, axis1=1, axis2=2)[:, :2])
    assert (np.abs(error) < 2 * sigma).all()


def test_cut_feet_are_made_up_for_by_the_head():
    """With the feet below the picture the foot point is far off, the place is not."""
    plane = camera((8.0, 3.0, 2.6), (3.0, 3.0), 900.0)
    box = box_of(plane, (6.4, 3.2))
    assert box is not None
    assert box[3] == HEIGHT
    foot = plane.to_ground(np.array([[(box[0] + box[2]) / 2, box[3]]]))
    standing = locate(box[None], plane, PARAMETERS)
    assert np.linalg.norm(foot.position_m[0] - (6.4, 3.2)) > 0.25
    assert np.linalg.norm(standing.state[0, :2] - (6.4, 3.2)) < 0.25


def test_hidden_feet_are_less_certain():
    """A box in front of the legs widens the uncertainty along the line of sight."""
    behind, front = box_of(PLANE, (3.0, 3.0)), box_of(PLANE, (4.6, 3.05))
    alone = locate(np.array([behind]), PLANE, PARAMETERS)
    hidden = locate(np.array([behind, front]), PLANE, PARAMETERS)
    assert np.trace(hidden.cov[0, :2, :2]) > 1.2 * np.trace(alone.cov[0, :2, :2])


def test_without_a_camera_pose_the_foot_point_is_used():
    """The same place as the homography gives, and an unknown height."""
    flat = replace(PLANE, projection=None)
    box = np.array([box_of(PLANE, (4.0, 3.0))])
    standing = locate(box, flat, PARAMETERS)
    foot = flat.to_ground(np.array([[box[0, [0, 2]].mean(), box[0, 3]]]))
    np.testing.assert_allclose(standing.state[0, :2], foot.position_m[0])
    assert standing.cov[0, 2, 2] >= 1.0


def test_above_the_horizon_is_nowhere():
    """Feet in the sky are not valid, and do not disturb the others."""
    boxes = np.array([[600.0, 0.0, 640.0, 20.0], box_of(PLANE, (4.0, 3.0))])
    standing = locate(boxes, PLANE, PARAMETERS)
    assert standing.is_valid.tolist() == [False, True]
    assert np.isnan(standing.state[0]).all()


def test_who_would_stand_at_the_camera_is_nowhere():
    """A fit that comes upon the camera itself is given up, and does not disturb the others."""
    P = PLANE.projection
    assert P is not None
    # The head in the camera's own plane: edges there tell of one direction alone.
    at_camera = P[2, :2] * -(P[2, 3] + 1.7 * P[2, 2]) / (P[2, :2] @ P[2, :2])
    start = np.array([[*(at_camera + 1e-5 * P[2, :2]), 1.7], [4.1, 3.1, 1.7]])
    x0, y0, x1, y1 = box_of(PLANE, (4.0, 3.0))
    measured = np.tile([(x0 + x1) / 2, y1, y0], (2, 1))
    state, cov = fit(measured, np.full((2, 3), 5.0), start, P, PARAMETERS)
    assert np.isnan(state[0]).all()
    assert np.isnan(cov[0]).all()
    np.testing.assert_allclose(state[1, :2], (4.0, 3.0), atol=0.2)


def test_nobody_is_no_error():
    """An empty picture."""
    assert len(locate(np.empty((0, 4)), PLANE, PARAMETERS).state) == 0

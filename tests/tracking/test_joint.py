"""Boxes of several cameras are matched together."""

import numpy as np

from plugins.tracking import TrackingParameters
from plugins.tracking.joint import Sight, match_jointly
from plugins.tracking.settling import gate
from plugins.tracking.sight import EDGES, measure
from tests.tracking.world import box_of, camera

PARAMETERS = TrackingParameters()
PLANES = [camera((0.0, -6.0, 2.8), (0.0, 0.0), 700.0), camera((6.0, -6.0, 2.8), (0.0, 0.0), 700.0)]
BODIES_M = [(-0.25, 0.0), (0.25, 0.0)]


def sight(plane, shift_m):
    """What a camera has of both bodies, both moved a little to one side."""
    boxes = np.array([box_of(plane, (x + shift_m, y)) for x, y in BODIES_M])
    return Sight(
        plane,
        measure(boxes, np.ones(len(boxes)), plane),
        np.zeros((1, len(boxes))),
        np.zeros((3, EDGES)),
        np.array([PARAMETERS.detection, PARAMETERS.hidden_loss]),
        np.zeros(1),
    )


def test_cameras_that_begin_with_different_bodies_agree_on_one():
    """One person is expected halfway; at first one camera takes the left body, one the right."""
    mean = np.array([[0.0, 0.0, 1.7, 0.6, 0.0, 0.0]])
    cov = np.diag([0.09, 0.09, 0.01, 0.01, 0.25, 0.25])[None]
    sights = [sight(PLANES[0], 0.02), sight(PLANES[1], -0.02)]
    alone = [
        match_jointly([one], mean, cov, gate(EDGES, PARAMETERS), dt_s=0.25, parameters=PARAMETERS)
        for one in sights
    ]
    assert [m.boxes.tolist() for (m,) in alone] == [[0], [1]]
    together = match_jointly(
        sights, mean, cov, gate(EDGES, PARAMETERS), dt_s=0.25, parameters=PARAMETERS
    )
    assert together[0].boxes.tolist() == together[1].boxes.tolist() != []

"""Boxes are put right by where the people they show stand."""

import numpy as np

from plugins.tracking.outlines import outlines
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.sight import EDGES, Boxes, measure, optics
from tests.tracking.world import box_of, camera

PLANE = camera((0.0, -6.0, 2.8), (0.0, 0.0), 700.0)
STATE = np.array([[0.5, 1.0, 1.7, 0.44, 0.0, 0.0]])
COV = 1e-4 * np.eye(6)[None]


def outlined(box_xyxy: np.ndarray, score: float) -> np.ndarray:
    edges = measure(box_xyxy[None], np.array([score]), PLANE)
    return outlines(
        box_xyxy[None, None],
        Boxes.of_all([edges]),
        optics((PLANE,)),
        STATE[None],
        COV[None],
        bias=np.zeros((1, 3, EDGES)),
        parameters=TrackingParameters(),
    )[0, 0]


def test_guessed_feet_are_moved_to_the_floor():
    """A doubtful box that ends at the knees reaches further down; a sure one hardly moves."""
    whole = box_of(PLANE, (0.5, 1.0))
    assert whole is not None
    cut = whole.copy()
    cut[3] -= 0.25 * (whole[3] - whole[1])
    gap = whole[3] - cut[3]
    assert outlined(cut, 0.3)[3] - cut[3] > 0.5 * gap
    assert outlined(cut, 0.9)[3] - cut[3] < 0.4 * gap


def test_a_box_at_the_border_keeps_its_cut_edge():
    """What lies beyond the picture is not drawn."""
    whole = box_of(PLANE, (0.5, 1.0))
    assert whole is not None
    cut = np.array([whole[0], whole[1], whole[2], PLANE.height - 1.0])
    assert outlined(cut, 0.3)[3] == cut[3]

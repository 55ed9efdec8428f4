"""Two people's boxes dealt out the wrong way round."""

import numpy as np

from plugins.tracking import kalman
from plugins.tracking.joint import Matched, Sight
from plugins.tracking.sight import EDGES, Boxes, Visibility
from plugins.tracking.unmixing import unmix
from tests.tracking.world import camera

A_M, B_M = np.array([0.0, 0.0, 1.7, 0.6]), np.array([0.5, 0.0, 1.7, 0.6])
PLANE = camera((0.0, -4.0, 2.5), (0.0, 0.0), 600.0)


def states():
    """Two people half a metre apart, known to 20 cm."""
    mean = np.column_stack([np.stack([A_M, B_M]), np.zeros((2, 2))])
    return mean, np.broadcast_to(0.04 * np.eye(6), (2, 6, 6)).copy()


def seen_at(*places):
    """One camera's boxes, of persons 0 and 1 in turn, each known to 10 cm; None for no box."""
    people = np.array([i for i, place in enumerate(places) if place is not None], np.intp)
    information, weighted = np.zeros((2, EDGES, EDGES)), np.zeros((2, EDGES))
    for i in people:
        information[i] = 100.0 * np.eye(EDGES)
        weighted[i] = information[i] @ places[i]
    count = len(people)
    seen = Visibility(np.zeros(2), np.ones(2), np.zeros(2), np.full(2, 0.8))
    matched = Matched(
        people,
        np.arange(count),
        np.zeros((2, count)),
        np.full((count, EDGES), 0.1),
        np.ones((count, 3)),
        information,
        weighted,
        seen,
    )
    boxes = Boxes(np.zeros((count, EDGES)), np.zeros((count, EDGES), dtype=bool), np.zeros(count))
    rates = np.array([0.8, 1.0])
    return Sight(
        PLANE, boxes, np.zeros((2, count)), np.zeros((3, EDGES)), rates, np.zeros(2)
    ), matched


def test_a_camera_that_mixed_two_people_up_is_put_right():
    """Three cameras agree, the fourth has the boxes crossed: only that one is changed."""
    sights, matched = map(list, zip(*[seen_at(A_M, B_M)] * 3, seen_at(B_M, A_M), strict=True))
    after = unmix(sights, matched, *states())
    assert [m.people.tolist() for m in after] == [[0, 1], [0, 1], [0, 1], [1, 0]]
    np.testing.assert_allclose(after[3].information[0] @ A_M, after[3].weighted[0])
    assert not after[3].residual.any()


def test_two_cameras_against_two_are_decided_by_the_way_people_went():
    """Half of the cameras have the boxes crossed; what was predicted decides."""
    pairs = [seen_at(A_M, B_M)] * 2 + [seen_at(B_M, A_M)] * 2
    sights, matched = map(list, zip(*pairs, strict=True))
    after = unmix(sights, matched, *states())
    assert [m.people.tolist() for m in after] == [[0, 1], [0, 1], [1, 0], [1, 0]]


def test_boxes_that_fit_stay_where_they_are():
    """Nothing to put right: the very same objects come back."""
    sights, matched = map(list, zip(*[seen_at(A_M, B_M)] * 4, strict=True))
    assert all(
        a is b for a, b in zip(unmix(sights, list(matched), *states()), matched, strict=True)
    )


def test_a_box_is_exchanged_for_a_box_only():
    """A camera that sees one of the two keeps its box where the joint assignment put it."""
    sights, matched = map(list, zip(*[seen_at(A_M, B_M)] * 2, seen_at(B_M, None), strict=True))
    assert unmix(sights, list(matched), *states())[2] is matched[2]


def test_evidence_is_the_likelihood_of_the_measurement():
    """In information form as from the density, up to what depends on the box alone."""
    mean, cov = states()
    R, z = 0.01 * np.eye(EDGES), A_M + 0.1
    W = np.linalg.inv(R)
    told = kalman.log_evidence(mean, cov, np.stack([W, W]), np.stack([W @ z] * 2))
    density, _ = kalman.log_likelihood(z - mean[:, :EDGES], cov[:, :EDGES, :EDGES] + R)
    np.testing.assert_allclose(told[0] - told[1], density[0] - density[1])

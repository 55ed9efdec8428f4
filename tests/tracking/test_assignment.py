"""Overlap of boxes and the assignment."""

from itertools import permutations

import numpy as np

from plugins.tracking.assignment import area, assign, covered, grown, iou

A = np.array([[0.0, 0.0, 10.0, 10.0]])


def test_overlaps_of_known_boxes():
    """Half shifted, inside, touching, apart, empty."""
    others = np.array(
        [[5, 0, 15, 10], [0, 0, 5, 5], [10, 0, 20, 10], [50, 50, 60, 60], [3, 3, 3, 3]], float
    )
    np.testing.assert_allclose(iou(A, others), [[1 / 3, 0.25, 0, 0, 0]])
    np.testing.assert_allclose(covered(others, A).ravel(), [0.5, 1, 0, 0, 0])
    np.testing.assert_allclose(area(others), [100, 25, 100, 100, 0])


def test_grown_boxes_keep_their_middle():
    """Three tenths more on every side."""
    np.testing.assert_allclose(grown(A, 0.3), [[-3, -3, 13, 13]])


def test_assignment_is_the_best_of_all():
    """Against trying every permutation."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        gain = rng.uniform(0, 1, (4, 4))
        rows, columns = assign(gain, 0.0)
        best = max(gain[range(4), list(p)].sum() for p in permutations(range(4)))
        assert np.isclose(gain[rows, columns].sum(), best)


def test_what_is_not_worth_it_stays_alone():
    """At or below the least gain nothing is assigned, and a poor pair displaces no good one."""
    rows, columns = assign(np.array([[0.9, 0.2], [0.8, -np.inf]]), 0.3)
    assert list(zip(rows, columns, strict=True)) == [(0, 0)]
    assert assign(np.empty((0, 3)), 0.0)[0].size == 0
    assert assign(np.full((2, 2), -np.inf), 0.0)[0].size == 0

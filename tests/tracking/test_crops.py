"""Which crops are asked for."""

import numpy as np
import pytest

from plugins.tracking.crops import choose_crops, crop_quality, hidden_share
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracklets import Tracklet
from tests.tracking.world import two_cameras

PARAMETERS = TrackingParameters()
PLANES = {"east": two_cameras()["east"]}
WHOLE = (100.0, 100.0, 180.0, 300.0)


def tracklet(track_id=1, box=WHOLE, score=0.9):
    return Tracklet(
        track_id, np.zeros(8), np.eye(8), np.array(box), score, 0, 0, hits=3, is_confirmed=True
    )


def times_asked(one, seconds):
    """Seconds at which a crop of the tracklet is asked for, at ten sets a second."""
    return [
        i / 10
        for i in range(round(seconds * 10))
        if choose_crops({"east": [one]}, PLANES, i * 100_000_000, PARAMETERS)
    ]


def test_good_crops_are_large_sure_whole_and_in_front():
    """Small, doubtful, cut and hidden boxes are each worth less."""
    boxes = np.array(
        [
            [100, 100, 180, 300],
            [300, 100, 320, 150],
            [0, 100, 80, 300],
            [600, 100, 680, 300],
            [610, 150, 690, 340],
        ],
        float,
    )
    good, small, cut, hidden, front = crop_quality(boxes, np.full(5, 0.9), 1280, 720)
    assert good == pytest.approx(0.9)
    assert front == pytest.approx(0.9)
    assert max(small, cut, hidden) < 0.7 * good
    assert crop_quality(boxes[:1], np.array([0.5]), 1280, 720)[0] == pytest.approx(0.5)


def test_only_the_one_behind_is_hidden():
    """Lower feet are nearer."""
    boxes = np.array([[0, 0, 10, 20], [0, 10, 10, 30]], float)
    np.testing.assert_allclose(hidden_share(boxes), [0.5, 0.0])


def test_crops_grow_rare():
    """At once, then after one, two, four, eight seconds, and then every twelve."""
    assert times_asked(tracklet(), 45) == [0.0, 1.0, 3.0, 7.0, 15.0, 27.0, 39.0]


def test_doubtful_people_are_looked_at_often():
    """While it is open who a tracklet shows, its turn comes every quarter of a second."""
    one = tracklet()
    asked = [
        i / 10
        for i in range(12)
        if choose_crops({"east": [one]}, PLANES, i * 100_000_000, PARAMETERS, {("east", 1)})
    ]
    assert asked == [0.0, 0.3, 0.6, 0.9]


def test_clearly_better_picture_is_asked_for_early():
    """Somebody who comes nearer is embedded again before their turn."""
    one = tracklet(box=(100.0, 100.0, 130.0, 160.0))
    assert times_asked(one, 0.1) == [0.0]
    one.box_xyxy = np.array(WHOLE)
    assert choose_crops({"east": [one]}, PLANES, 400_000_000, PARAMETERS) == []
    assert len(choose_crops({"east": [one]}, PLANES, 600_000_000, PARAMETERS)) == 1


def test_poor_crop_waits_for_a_better_one():
    """A tiny crop is put off for a second, not for ever."""
    assert times_asked(tracklet(box=(5.0, 5.0, 13.0, 20.0)), 1.2) == [1.0]


def test_many_new_people_are_spread_over_sets():
    """Never more than the limit in one set; those that wait come first next time."""
    many = [tracklet(i, (100.0 * i, 100.0, 100.0 * i + 60, 260.0)) for i in range(1, 12)]
    first = choose_crops({"east": many}, PLANES, 0, PARAMETERS)
    second = choose_crops({"east": many}, PLANES, 100_000_000, PARAMETERS)
    assert [len(first), len(second)] == [8, 3]
    asked = [chosen.request.track_id for chosen in first + second]
    assert sorted(asked) == list(range(1, 12))

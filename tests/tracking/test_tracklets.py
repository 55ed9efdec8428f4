"""Tracklets of one camera, on boxes drawn by hand."""

import numpy as np
import pytest

from plugins.errors import InvalidInputError
from plugins.frames import Detections
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracklets import CameraTracklets

PARAMETERS = TrackingParameters()
STEP_NS = 100_000_000


def boxes(*rows, scores=None):
    values = np.array(rows, np.float32).reshape(-1, 4)
    scores = np.full(len(values), 0.8) if scores is None else np.array(scores)
    return Detections(values, scores.astype(np.float32))


def person(x, y=100.0):
    return (x, y, x + 60, y + 160)


def feed(tracklets, sets, start=0):
    """Confirmed ids seen in each set; None in ``sets`` is a missing picture."""
    ids = []
    for i, detections in enumerate(sets, start):
        tracklets.step(detections, i * STEP_NS, PARAMETERS)
        seen = tracklets.observed(i * STEP_NS)
        ids.append([t.track_id for t in seen if t.is_confirmed])
    return ids


def test_walker_is_one_confirmed_tracklet():
    """Confirmed from the third box on, one id."""
    ids = feed(CameraTracklets(), [boxes(person(100 + 8 * i)) for i in range(10)])
    assert ids == [[], []] + [[1]] * 8


def test_misses_are_bridged():
    """Half a second without a box, walking on: the same id."""
    sets = [boxes(person(100 + 8 * i)) for i in range(20)]
    sets[8:13] = [boxes()] * 5
    assert feed(CameraTracklets(), sets)[-1] == [1]


def test_doubtful_boxes_continue_but_never_begin():
    """Low scores keep a known tracklet alive; alone they are nobody."""
    low = [boxes(person(100), person(500), scores=(0.2, 0.2)) for _ in range(10)]
    ids = feed(CameraTracklets(), [boxes(person(100)) for _ in range(3)] + low)
    assert ids[-1] == [1]


def test_flicker_is_nobody():
    """A box seen once begins no tracklet that lasts, and its number is not used again."""
    tracklets = CameraTracklets()
    sets = [boxes(person(100)), boxes(), *[boxes(person(400)) for _ in range(4)]]
    assert feed(tracklets, sets)[-1] == [2]


def test_ended_ids_do_not_come_back():
    """Who returns after the coasting time has another id."""
    sets = [boxes(person(100))] * 5 + [boxes()] * 12 + [boxes(person(100))] * 5
    ids = feed(CameraTracklets(), sets)
    assert (ids[4], ids[-1]) == ([1], [2])


def test_missing_pictures_are_not_missing_people():
    """Without a picture an unconfirmed tracklet waits; time passes all the same."""
    tracklets = CameraTracklets()
    ids = feed(tracklets, [boxes(person(100)), None, None, boxes(person(102)), boxes(person(104))])
    assert ids == [[], [], [], [], [1]]
    feed(tracklets, [None], start=30)
    assert tracklets.tracklets == []


def test_long_gap_between_sets_ends_tracklets():
    """After five seconds nobody is followed on, however alike the boxes are."""
    tracklets = CameraTracklets()
    feed(tracklets, [boxes(person(100))] * 5)
    assert feed(tracklets, [boxes(person(100))] * 5, start=55)[-1] == [2]


def test_passing_people_keep_their_ids():
    """Two walk past each other at different depths."""
    sets = [boxes(person(100 + 12 * i), person(460 - 12 * i, y=150.0)) for i in range(30)]
    tracklets = CameraTracklets()
    ids = feed(tracklets, sets)
    by_id = {t.track_id: t.box_xyxy[0] for t in tracklets.tracklets}
    assert ids[-1] == [1, 2]
    assert by_id[1] > by_id[2]


def test_half_a_body_is_not_a_second_person():
    """A box that repeats the upper part of a known one begins nothing."""
    sets = [boxes(person(100), (102, 101, 158, 180)) for _ in range(6)]
    assert feed(CameraTracklets(), sets)[-1] == [1]


def test_fast_and_rare_pictures_are_followed():
    """At two pictures a second a box that moves most of its width is still the same."""
    tracklets = CameraTracklets()
    for i in range(6):
        tracklets.step(boxes(person(100 + 40 * i)), 5 * i * STEP_NS, PARAMETERS)
    assert [t.track_id for t in tracklets.observed(25 * STEP_NS)] == [1]


def test_contradicting_parameters_are_refused():
    """A low score above the high one names the rule."""
    with pytest.raises(InvalidInputError, match="low_score <= high_score"):
        TrackingParameters(low_score=0.9)

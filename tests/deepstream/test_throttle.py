"""Whose picture is worth an embedding."""

import numpy as np
import pytest

from plugins.deepstream.throttle import UNTRACKED, EmbedThrottle, ThrottleParameters, iou
from plugins.frames import NS_PER_S

ALONE = [100, 100, 180, 340]


def choose(throttle, boxes, time_s=0.0, ids=None) -> list[bool]:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    object_ids = np.array(ids if ids is not None else [UNTRACKED] * len(boxes), np.int64)
    return throttle.choose(array, object_ids, round(time_s * NS_PER_S)).tolist()


def test_nobody_gives_an_empty_mask():
    assert choose(EmbedThrottle(), []) == []


def test_same_person_waits_for_the_interval():
    """By place without a tracker: half a second later it is due again."""
    throttle = EmbedThrottle()
    walked = [105, 100, 185, 340]
    assert choose(throttle, [ALONE], 0.0) == [True]
    assert choose(throttle, [walked], 0.3) == [False]
    assert choose(throttle, [walked], 0.5) == [True]


def test_tracker_s_ids_tell_people_apart_that_swap_places():
    throttle = EmbedThrottle()
    assert choose(throttle, [ALONE], 0.0, [7]) == [True]
    assert choose(throttle, [ALONE], 0.1, [8]) == [True]
    assert choose(throttle, [[900, 100, 980, 340]], 0.2, [7]) == [False]


def test_small_and_overlapping_people_are_left_out():
    small = [600, 600, 610, 630]
    pair = [[300, 100, 400, 400], [340, 100, 440, 400]]
    assert choose(EmbedThrottle(), [ALONE, small, *pair]) == [True, False, False, False]


def test_tallest_come_first_where_there_are_too_many():
    boxes = [[100 * k, 0, 100 * k + 50, 100 + 10 * k] for k in range(5)]
    throttle = EmbedThrottle(ThrottleParameters(most=2))
    assert choose(throttle, boxes) == [False, False, False, True, True]


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    assert iou(a, b)[0].tolist() == pytest.approx([1 / 3, 0, 1])

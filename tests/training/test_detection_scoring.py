"""AP50, recall and precision, against figures worked out by hand."""

import numpy as np
import pytest

from training.detection.scoring import Answer, average_precision, overlaps, scored


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


A, B, FAR = (0, 0, 10, 20), (40, 0, 50, 20), (80, 0, 90, 20)


def answer(found, scores, wanted, ignored=()):
    return Answer(boxes(*found), np.array(scores, np.float32), boxes(*wanted), boxes(*ignored))


def test_everybody_found_and_nothing_else_is_perfect():
    """Perfect boxes give 1 everywhere."""
    score = scored([answer([A, B], [0.9, 0.8], [A, B])], 0.5)
    assert (score.ap50, score.recall, score.precision, score.wanted) == (1.0, 1.0, 1.0, 2)


def test_a_second_box_on_the_same_person_is_false():
    """One of two boxes on A counts, the other is a false alarm; B is missed."""
    score = scored([answer([A, (0, 0, 10, 19)], [0.9, 0.8], [A, B])], 0.5)
    assert (score.recall, score.precision) == (0.5, 0.5)
    assert score.ap50 == pytest.approx(0.5)


def test_average_precision_is_the_area_under_the_curve():
    """Hit, miss, hit of two wanted: precision 1 up to a half, 2/3 up to all."""
    hits = np.array([True, False, True])
    found = average_precision(np.array([0.9, 0.8, 0.7], np.float32), hits, 2)
    assert found == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_boxes_on_people_who_do_not_count_neither_help_nor_harm():
    """A box on, or mostly within, an ignored one is left out; one elsewhere is a false alarm."""
    score = scored([answer([A, B, (42, 5, 48, 15)], [0.9, 0.8, 0.7], [A], [B])], 0.5)
    assert (score.recall, score.precision) == (1.0, 1.0)
    score = scored([answer([A, FAR], [0.9, 0.8], [A], [B])], 0.5)
    assert score.precision == 0.5


def test_weak_boxes_count_in_ap_only():
    """Below the threshold a hit is no recall, but still raises the average precision."""
    score = scored([answer([A, B], [0.9, 0.2], [A, B])], 0.5)
    assert (score.recall, score.ap50) == (0.5, 1.0)


def test_pictures_are_matched_on_their_own():
    """A box in one picture cannot hit somebody in another."""
    score = scored([answer([A], [0.9], []), answer([], [], [A])], 0.5)
    assert (score.recall, score.precision) == (0.0, 0.0)


def test_overlap_is_intersection_over_union():
    """Half of a box shared with one as large is a third."""
    assert overlaps(boxes(A), boxes((5, 0, 15, 20)))[0, 0] == pytest.approx(1 / 3)
    assert overlaps(boxes(), boxes(A)).shape == (0, 1)

"""What counts as right, wrong, or not at all."""

import numpy as np
import pytest

from plugins.evaluation.footage import Area, NamedBoxes
from plugins.evaluation.scores import floor_moment, score, view_moment

LEFT, RIGHT = (1.0, 1.0), (5.0, 1.0)


def floor(pairs, **options):
    """Scores of (true, found) places, frame by frame, at half a metre."""
    return score([floor_moment(true, found, 0.5, **options) for true, found in pairs])


def boxes(*entries, unscored=()):
    names = tuple(name for name, _ in entries)
    table = np.reshape([box for _, box in entries], (-1, 4)).astype(float)
    return NamedBoxes(names, table, frozenset(unscored))


def test_a_perfect_answer_scores_one_everywhere():
    """Whatever the found ids are called."""
    scores = floor([({"a": LEFT, "b": RIGHT}, {"7": LEFT, "9": RIGHT})] * 10)
    assert (scores.idf1, scores.mota, scores.moda, scores.switches) == (1, 1, 1, 0)
    assert scores.hota == pytest.approx(1)
    assert (scores.ids, scores.people) == (2, 2)


def test_two_who_swap_ids_halfway_cost_identity_and_not_detection():
    """Half of each is right: IDF1 0.5, two switches, MODA 1."""
    straight = ({"a": LEFT, "b": RIGHT}, {"7": LEFT, "9": RIGHT})
    crossed = ({"a": LEFT, "b": RIGHT}, {"9": LEFT, "7": RIGHT})
    scores = floor([straight] * 5 + [crossed] * 5)
    assert (scores.idf1, scores.switches, scores.moda) == (0.5, 2, 1)
    assert scores.mota == pytest.approx(0.9)


@pytest.mark.parametrize(("gap_m", "found"), [(0.49, 1), (0.51, 0)])
def test_half_a_metre_is_the_limit_of_a_match(gap_m, found):
    """Just within it is found, just beyond it is both missed and invented."""
    scores = floor([({"a": LEFT}, {"7": (LEFT[0] + gap_m, LEFT[1])})] * 4)
    assert scores.idf1 == found
    assert scores.moda == 2 * found - 1


def test_outside_of_the_area_nobody_counts():
    """Neither a miss nor an invention there changes the scores."""
    pairs = [({"a": LEFT, "far": (20.0, 1.0)}, {"7": LEFT, "8": (-5.0, 1.0)})] * 3
    assert floor(pairs, area=Area(0, 10, 0, 10)).mota == 1
    assert floor(pairs).mota == pytest.approx(0)


def test_where_the_truth_lists_only_some_the_others_are_no_mistakes():
    """Found far from everybody listed: left out. A second answer for one listed person: wrong."""
    pairs = [({"a": LEFT}, {"7": LEFT, "desk": RIGHT})] * 3
    assert floor(pairs, lists_everybody=False).mota == 1
    assert floor(pairs).mota == 0
    double = [({"a": LEFT}, {"7": LEFT, "8": (1.1, 1.0)})] * 3
    assert floor(double, lists_everybody=False).mota == 0


def test_who_is_not_scored_may_be_found_or_not():
    """The same scores either way, and what covers them does not count as invented."""
    true = boxes(("a", (0, 0, 10, 30)), ("hidden", (50, 0, 60, 30)), unscored=["hidden"])
    for found in (
        boxes(("7", (0, 0, 10, 30))),
        boxes(("7", (0, 0, 10, 30)), ("8", (50, 0, 60, 30))),
    ):
        scores = score([view_moment(true, found, lists_everybody=True)] * 3)
        assert (scores.idf1, scores.mota, scores.people) == (1, 1, 1)


def test_without_anybody_to_find_there_is_no_score():
    """Not zero, not one: None."""
    assert floor([({}, {"7": LEFT})] * 3) is None
    assert score([]) is None


def test_finding_nobody_scores_zero():
    """An empty answer is a bad one, not an error."""
    scores = floor([({"a": LEFT}, {})] * 3)
    assert (scores.idf1, scores.hota, scores.mota, scores.ids) == (0, 0, 0, 0)

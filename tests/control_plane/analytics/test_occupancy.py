"""Definitions of docs/analytics.md on cases counted by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.analytics.floor import area_m2, coarser, hysteresis_m, inside_distance
from control_plane.analytics.flow import Movement, movements
from control_plane.analytics.occupancy import Stay, buckets, crowded, dwell, merged, stay_in
from control_plane.analytics.visits import Samples, fold, pruned, with_hysteresis

SQUARE = np.array([[0.0, 0.0], [4, 0], [4, 4], [0, 4]])
CONCAVE = np.array([[0.0, 0.0], [4, 0], [4, 4], [2, 1], [0, 4]])


def stay(name, start, end, *, is_entry=True, is_exit=True):
    return Stay(name, start, end, end - start, is_entry, is_exit)


def samples(name, times, xs, cameras=None):
    points = np.column_stack([xs, np.full(len(xs), 2.0)])
    return Samples(name, np.array(times, float), points, cameras or [["c1"]] * len(times))


@pytest.mark.parametrize(
    ("point", "polygon", "distance"),
    [
        ((2, 2), SQUARE, 2.0),
        ((3.5, 2), SQUARE, 0.5),
        ((5, 2), SQUARE, -1.0),
        ((7, 8), SQUARE, -5.0),
        ((2, 3), CONCAVE, -2 * 2 / np.sqrt(13)),
        ((0.5, 0.5), CONCAVE, 0.5),
    ],
)
def test_distance_to_a_border_is_positive_inside(point, polygon, distance):
    found = inside_distance(np.array([point], float), polygon)
    assert found[0] == pytest.approx(distance)


def test_small_zones_have_less_hysteresis():
    assert area_m2(SQUARE) == 16
    assert hysteresis_m(SQUARE) == 0.25
    assert hysteresis_m(SQUARE / 8) == pytest.approx(0.0625)


@pytest.mark.parametrize(
    ("distance", "before", "inside"),
    [
        ([-1, -0.1, 0.1, 0.3, 0.1, -0.1, -0.3], None, [0, 0, 0, 1, 1, 1, 0]),
        ([0.1, -0.1, 0.1], None, [1, 1, 1]),
        ([0.1, -0.1, 0.1], False, [0, 0, 0]),
        ([-0.1, 0.1, -0.1], True, [1, 1, 1]),
    ],
)
def test_who_stands_on_the_border_stays_what_they_were(distance, before, inside):
    """A quarter of a metre on either side nothing changes."""
    found = with_hysteresis(np.array(distance, float), 0.25, before)
    assert found.astype(int).tolist() == inside


def test_a_visit_lasts_from_the_first_to_the_last_sample_inside():
    """Two ways through the square, and an end by silence of more than two seconds."""
    xs = [-1, 1, 2, 3, 5, 5, 3, 3, 3]
    times = [0, 1, 2, 3, 4, 5, 6, 10, 11]
    _, visits = fold({}, [samples("ada", times, xs)], {"hall": SQUARE})
    zone = [(v.entered_s, v.left_s) for v in visits if v.kind == "zone"]
    assert zone == [(1, 3), (6, 6), (10, 11)]


def test_a_camera_is_left_when_it_has_not_seen_somebody_for_two_seconds():
    """While another camera goes on seeing them."""
    cameras = [["a"], ["a", "b"], ["b"], ["b"], ["b"], ["a", "b"]]
    _, visits = fold({}, [samples("ada", range(6), [0] * 6, cameras)], {})
    found = {(v.place_id, v.entered_s): v.left_s for v in visits}
    assert found == {("a", 0): 1, ("b", 1): 5, ("a", 5): 5}


@settings(max_examples=60, deadline=None)
@given(
    xs=st.lists(st.floats(-1, 5), min_size=2, max_size=60),
    gaps=st.lists(st.sampled_from([0.1, 0.5, 1.9, 2.5, 6.0]), min_size=60, max_size=60),
    cuts=st.lists(st.integers(1, 59), max_size=5),
)
def test_folding_in_pieces_is_folding_at_once(xs, gaps, cuts):
    """However the samples are cut, visits end up the same."""
    times = np.cumsum(gaps[: len(xs)])
    cameras = [["a"] if x > 2 else ["a", "b"] if x > 0 else ["b"] for x in xs]
    whole = visits_of([(times, xs, cameras)])
    edges = [0, *sorted({c for c in cuts if c < len(xs)}), len(xs)]
    pieces = [(times[a:b], xs[a:b], cameras[a:b]) for a, b in pairwise(edges)]
    assert visits_of(pieces) == whole


def visits_of(pieces):
    state, found = {}, {}
    for times, xs, cameras in pieces:
        state, visits = fold(state, [samples("ada", times, xs, cameras)], {"z": SQUARE})
        state = pruned(state, times[-1])
        found |= {(v.kind, v.place_id, v.entered_s): v.left_s for v in visits}
    return found


def test_occupancy_by_the_minute():
    """Ada 0-90 s, bob 30-60 s: 60 + 30 person-seconds in the first minute, 30 in the second."""
    found = buckets([stay("ada", 0, 90), stay("bob", 30, 60)], 0, 120, 60)
    assert [(b.mean, b.peak, b.entries, b.exits) for b in found] == [
        (1.5, 2, 2, 0),
        (0.5, 2, 0, 2),
    ]
    assert [b.mean for b in buckets([], 0, 90, 60)] == [0, 0]


def test_a_stay_counts_as_it_lies_in_the_span():
    """Who was there before is no entry, who is there at the end no exit; dwell is the whole."""
    before = stay_in("ada", (-10, 30), (0, 60))
    assert (before.start_s, before.end_s, before.dwell_s) == (0, 30, 40)
    assert (before.is_entry, before.is_exit) == (False, True)
    still = stay_in("bob", (40, 59.9), (0, 60))
    assert (still.is_entry, still.is_exit) == (True, False)
    assert stay_in("cy", (70, 80), (0, 60)) is None


def test_dwell_of_whole_stays():
    found = dwell([stay("a", 0, 10), stay("b", 0, 20), stay("c", 0, 60)])
    assert (found.stays, found.mean_s, found.median_s, found.longest_s) == (3, 30, 20, 60)
    assert dwell([]).mean_s is None


def test_crowded_stretches_are_those_above_capacity():
    stays = [stay("a", 0, 50), stay("b", 10, 30), stay("c", 20, 40)]
    assert crowded(stays, 1) == [(10, 40, 3)]
    assert crowded(stays, 2) == [(20, 30, 3)]
    assert crowded(stays, 3) == []


def test_presence_joins_what_several_cameras_saw():
    seen = [stay("a", 0, 10), stay("a", 5, 20), stay("a", 21, 30), stay("a", 40, 50)]
    assert [(s.start_s, s.end_s) for s in merged(seen)] == [(0, 30), (40, 50)]


def test_movements_join_neighbouring_stays():
    """Back into the same zone, or after five minutes, is no movement."""
    stays = {
        "ada": [("hall", 0, 10), ("lift", 14, 20), ("hall", 30, 40), ("hall", 45, 50)],
        "bob": [("hall", 0, 10), ("lift", 16, 20), ("roof", 400, 410)],
    }
    assert movements(stays) == [Movement("hall", "lift", 2, 5.0), Movement("lift", "hall", 1, 10.0)]


def test_cells_make_a_grid_over_the_map():
    """Half-metre cells (0, 0), (1, 1) and (3, 2) lie in metre cells (0, 0) and (1, 1)."""
    origin, grid = coarser([(0, 0, 5), (1, 1, 7), (3, 2, 1), (40, 0, 9)], (0, 0, 3, 2), 1.0)
    assert origin == (0, 0)
    assert grid.tolist() == [[12, 0, 0], [0, 1, 0]]

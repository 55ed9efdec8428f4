"""Journeys, paths, behaviour and prediction on ways that are known."""

import numpy as np
import pytest

from control_plane.analytics.behaviour import cells_of, loitering, predict, running, unusual_path
from control_plane.analytics.journey import Track, motion, stops
from control_plane.analytics.paths import evenly_spaced, group_paths, length_m, simplified

BOUNDS = (0.0, 0.0, 40.0, 40.0)


def track(*legs, noise_m=0.0, seed=1):
    """One position a second along (seconds, from, to) legs."""
    points = np.concatenate(
        [np.linspace(a, b, seconds, endpoint=False) for seconds, a, b in legs]
    ).astype(float)
    points += np.random.default_rng(seed).normal(0, noise_m, points.shape)
    return Track(np.arange(len(points), dtype=float), points)


WALK_STOP_WALK = ((10, (0, 0), (10, 0)), (20, (10, 0), (10, 0)), (10, (10, 0), (10, 10)))


@pytest.mark.parametrize("noise_m", [0.0, 0.1])
def test_motion_of_a_walk_with_a_stop(noise_m):
    """Ten metres, twenty seconds' rest, ten metres more: noise does not make the rest a walk."""
    found = motion(track(*WALK_STOP_WALK, noise_m=noise_m))
    assert found.distance_m == pytest.approx(20, rel=0.15)
    assert found.average_speed_mps == pytest.approx(1.0, abs=0.1)
    assert found.max_speed_mps == pytest.approx(1.0, abs=0.3)
    [stop] = found.stops
    assert stop.seconds == pytest.approx(20, abs=2)
    assert stop.position_m == pytest.approx((10, 0), abs=0.3)


def test_a_gap_is_neither_time_nor_distance():
    way = Track(
        np.array([0.0, 1, 2, 60, 61]), np.array([(0.0, 0), (1, 0), (2, 0), (30, 0), (31, 0)])
    )
    found = motion(way)
    assert (found.observed_s, found.distance_m) == (3, 3)


def test_nobody_and_one_position_have_no_speed():
    empty = Track(np.zeros(0), np.zeros((0, 2)))
    assert motion(empty).average_speed_mps is None
    assert stops(Track(np.array([1.0]), np.zeros((1, 2)))) == []
    assert predict(empty, BOUNDS) == []


def test_simplified_ways_keep_corners_only():
    way = np.concatenate([np.linspace((0, 0), (5, 0), 20), np.linspace((5, 0), (5, 5), 20)])
    assert simplified(way).tolist() == [[0, 0], [5, 0], [5, 5]]
    assert length_m(way) == pytest.approx(10)
    assert evenly_spaced(way, 5).tolist() == pytest.approx(
        np.array([(0, 0), (2.5, 0), (5, 0), (5, 2.5), (5, 5)])
    )


def test_ways_that_look_alike_are_one_group():
    """Six go east, three go back, one crosses; direction matters, a step aside does not."""
    random = np.random.default_rng(3)

    def way(a, b):
        return np.linspace(a, b, 40) + random.normal(0, 0.15, (40, 2))

    ways = [(f"east{k}", way((0, 5), (20, 5))) for k in range(6)]
    ways += [(f"west{k}", way((20, 5.5), (0, 5.5))) for k in range(3)]
    ways += [("cross", way((10, 0), (10, 12))), ("stand", way((3, 3), (3.2, 3)))]
    groups = group_paths(ways)
    assert [(g.count, g.example_global_id[:4]) for g in groups] == [
        (6, "east"),
        (3, "west"),
        (1, "cros"),
    ]
    assert sum(g.share for g in groups) == pytest.approx(1)
    assert groups[0].mean_length_m == pytest.approx(20, abs=0.5)
    assert group_paths([]) == []


def test_loitering_is_a_long_stay_in_a_small_place():
    short = loitering(track((30, (5, 5), (5, 5)), noise_m=0.2), 0.2)
    long = loitering(track((90, (5, 5), (5, 5)), noise_m=0.2), 0.2)
    walk = loitering(track((90, (0, 0), (39, 0))), 0.2)
    assert (short.is_present, long.is_present, walk.is_present) == (False, True, False)
    assert long.value == pytest.approx(89)
    assert long.confidence > 0.95
    assert walk.value == pytest.approx(4 / (39 / 90), abs=1)


def test_running_is_a_speed_kept_over_seconds():
    walk = running(track((20, (0, 0), (28, 0)), noise_m=0.1), 0.1)
    run = running(track((10, (0, 0), (38, 0)), noise_m=0.1), 0.1)
    assert (walk.is_present, run.is_present) == (False, True)
    assert run.value == pytest.approx(3.8, abs=0.2)
    assert min(walk.confidence, run.confidence) > 0.99
    assert running(track((3, (0, 0), (1, 0))), 0.1).is_present is None


def test_a_way_nobody_else_takes_is_unusual():
    """Thirty people cross from west to east; one goes north. Too few others say nothing."""
    others = [
        cells_of(track((20, (0, 5), (20, 5)), noise_m=0.2, seed=k).points_m) for k in range(30)
    ]
    north = cells_of(track((20, (10, 10), (10, 30))).points_m)
    same = cells_of(track((20, (0, 5), (20, 5)), noise_m=0.2, seed=99).points_m)
    assert unusual_path(north, others).is_present is True
    assert unusual_path(north, others).value == pytest.approx(1 / 31)
    assert unusual_path(same, others).is_present is False
    assert unusual_path(north, others[:5]).is_present is None


def test_unusual_paths_are_rare_among_usual_ones():
    """Each of forty like people against the others: about one in twenty may stand out."""
    ways = [cells_of(track((20, (0, 5), (20, 5)), noise_m=0.3, seed=k).points_m) for k in range(40)]
    found = [unusual_path(w, ways[:k] + ways[k + 1 :]).is_present for k, w in enumerate(ways)]
    assert sum(found) <= 4


def test_a_steady_walk_is_predicted_within_its_uncertainty():
    found = predict(track((10, (0, 0), (10, 5)), noise_m=0.05), BOUNDS)
    assert [p.seconds_ahead for p in found] == [1, 2, 3, 5]
    for p in found:
        true = np.array([9 + p.seconds_ahead, (9 + p.seconds_ahead) / 2])
        assert np.hypot(*(np.array(p.position_m) - true)) < 2 * p.sigma_m
    assert found[0].sigma_m < found[-1].sigma_m


def test_nobody_is_predicted_off_the_map():
    found = predict(track((10, (30, 5), (40, 5))), BOUNDS)
    assert max(p.position_m[0] for p in found) == 40

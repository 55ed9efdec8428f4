"""Occupancy, dwell and counts of people who walk about a shop, against the truth."""

import numpy as np
import pytest

from control_plane.analytics.floor import inside_distance
from control_plane.analytics.occupancy import buckets, dwell, stay_in
from control_plane.analytics.visits import Samples, fold
from homography.environment import load_environments
from training.behaviour import simulate_walks
from training.demo_room import demo_room
from training.people import make_people

SECONDS, RATE_HZ, PEOPLE = 120, 10, 8
TIMES = np.arange(SECONDS * RATE_HZ) / RATE_HZ


@pytest.fixture(scope="module")
def walks():
    """True positions (P, F, 2), NaN while somebody is away."""
    people = make_people(PEOPLE, 5)
    return simulate_walks(demo_room(), people, SECONDS * RATE_HZ, RATE_HZ, 5).position_m


@pytest.fixture(scope="module")
def zones():
    demo = load_environments().environments["demo"]
    return {zone.zone_id: zone.polygon_m for zone in demo.zones}


def smooth_noise(shape, sigma_m, seconds):
    """Errors as a tracker makes them: slow, of this size and correlation time."""
    random = np.random.default_rng(11)
    keep = np.exp(-1 / (RATE_HZ * seconds))
    noise = np.zeros(shape)
    noise[:, 0] = random.normal(0, sigma_m, (shape[0], 2))
    for k in range(1, shape[1]):
        fresh = random.normal(0, sigma_m * np.sqrt(1 - keep**2), (shape[0], 2))
        noise[:, k] = keep * noise[:, k - 1] + fresh
    return noise


def visits_of(positions, zones):
    people = []
    for number, way in enumerate(positions):
        is_there = np.isfinite(way[:, 0])
        if is_there.any():
            seen = [["c1"]] * int(is_there.sum())
            people.append(Samples(str(number), TIMES[is_there], way[is_there], seen))
    return fold({}, people, zones)[1]


def stays_in(visits, zone_id):
    found = [
        stay_in(v.global_id, (v.entered_s, v.left_s), (0.0, float(SECONDS)))
        for v in visits
        if v.kind == "zone" and v.place_id == zone_id
    ]
    return [stay for stay in found if stay is not None]


def true_share(walks, polygon):
    """Person-seconds by ten-second bucket, from the true positions alone."""
    there = np.isfinite(walks[..., 0])
    inside = np.zeros(there.shape, dtype=bool)
    inside[there] = inside_distance(walks[there], polygon) > 0
    return inside.sum(axis=0).reshape(-1, 10 * RATE_HZ).mean(axis=1), inside


@pytest.mark.parametrize("sigma_m", [0.0, 0.15, 0.3])
def test_occupancy_is_true_to_a_fraction_of_a_person(walks, zones, sigma_m):
    """Mean error of a ten-second bucket: an eighth of a person, a fifth with much noise."""
    visits = visits_of(walks + smooth_noise(walks.shape, sigma_m, 1.0), zones)
    assert len(zones) >= 3
    for zone_id, polygon in zones.items():
        truth, _ = true_share(walks, polygon)
        found = [b.mean for b in buckets(stays_in(visits, zone_id), 0, SECONDS, 10)]
        error = np.abs(np.array(found) - truth).mean()
        assert error < 0.12 + 0.3 * sigma_m, zone_id


def test_hysteresis_keeps_noise_from_making_visits(walks, zones):
    """With 0.15 m of noise the border makes few visits that are none; without hysteresis many."""
    noisy = walks + smooth_noise(walks.shape, 0.15, 1.0)
    visits = visits_of(noisy, zones)
    with_it = without = truth = 0
    for zone_id, polygon in zones.items():
        _, inside = true_share(walks, polygon)
        _, noisy_inside = true_share(noisy, polygon)
        truth += entries(inside)
        without += entries(noisy_inside)
        with_it += len(stays_in(visits, zone_id))
    assert abs(with_it - truth) <= 0.15 * truth + 1
    assert without > with_it


def test_dwell_is_true_to_half_a_second_or_so(walks, zones):
    """Person-seconds over all stays, and the median stay."""
    visits = visits_of(walks + smooth_noise(walks.shape, 0.1, 1.0), zones)
    for zone_id, polygon in zones.items():
        _, inside = true_share(walks, polygon)
        own = stays_in(visits, zone_id)
        total = sum(stay.end_s - stay.start_s for stay in own)
        assert total == pytest.approx(inside.sum() / RATE_HZ, rel=0.1, abs=3), zone_id
        assert (dwell(own).longest_s or 0.0) <= SECONDS


def test_nobody_is_lost_or_invented(walks, zones):
    """As many people in the camera's view as were there."""
    visits = visits_of(walks, zones)
    seen = {v.global_id for v in visits if v.kind == "camera"}
    assert len(seen) == int(np.isfinite(walks[..., 0]).any(axis=1).sum())


def entries(inside):
    before = np.concatenate([np.zeros((len(inside), 1), dtype=bool), inside[:, :-1]], axis=1)
    return int((inside & ~before).sum())

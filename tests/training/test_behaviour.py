"""Walks through the demo's shop: free of collisions, reproducible, with arrivals and departures."""

import numpy as np
import pytest

from homography.environment import load_environments
from training.behaviour import BODY_DISTANCE_M, simulate_walks
from training.demo_room import demo_room, hall, room_for
from training.navigation import Floor
from training.people import make_people

SECONDS, RATE_HZ = 40, 10


@pytest.fixture(scope="module")
def crowd():
    """Twenty people: the most crowded scene that is promised."""
    return simulate_walks(demo_room(), make_people(20, 7), SECONDS * RATE_HZ, RATE_HZ, 7)


def test_the_same_seed_gives_the_same_walks():
    """To the last bit; another seed sends people elsewhere."""
    people = make_people(4, 1)
    first, again, other = (
        simulate_walks(demo_room(), people, 60, RATE_HZ, seed).position_m for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


def test_bodies_never_touch(crowd):
    """Centres stay half a metre apart, even in a crowd of twenty (a centimetre less at a wall)."""
    position = crowd.position_m
    apart = np.linalg.norm(position[:, None] - position[None], axis=-1)
    apart[np.arange(20), np.arange(20)] = np.inf
    assert np.nanmin(apart) > BODY_DISTANCE_M - 0.03


def test_nobody_walks_through_walls_or_furniture(crowd):
    """Every position leaves room for a body's half depth to the nearest solid thing."""
    present = crowd.position_m[crowd.is_present()]
    assert Floor(demo_room()).clearance_m(present).min() > 0.1


def test_people_come_go_stand_and_walk(crowd):
    """Some are there from the start, some enter and leave later; both walking and standing are
    common; nobody runs.
    """
    present = crowd.is_present()
    assert present[:, 0].sum() >= 10
    assert (~present[:, :-1] & present[:, 1:]).sum() >= 8
    assert (present[:, :-1] & ~present[:, 1:]).sum() >= 3
    steps = np.linalg.norm(np.diff(crowd.position_m, axis=1), axis=2) * RATE_HZ
    steps = steps[np.isfinite(steps)]
    assert 0.1 < (steps < 0.1).mean() < 0.7
    assert np.quantile(steps, 0.999) < 2.2


def test_steps_go_with_the_way(crowd):
    """The cycle of steps advances with the distance walked and rests while somebody stands."""
    steps_m = np.linalg.norm(np.diff(crowd.position_m, axis=1), axis=2)
    cycles = np.diff(crowd.cycles, axis=1)
    moving = steps_m > 0.08
    strides = (steps_m / np.maximum(cycles, 1e-9))[moving]
    assert 0.8 < np.median(strides) < 1.6
    assert cycles[steps_m < 1e-6].max() < 1e-3


def test_walkers_look_where_they_go(crowd):
    """Whoever moves at a normal pace is turned to within 60 degrees of the way, nearly always."""
    way = np.diff(crowd.position_m, axis=1)
    fast = np.linalg.norm(way, axis=2) > 0.08
    direction = np.arctan2(way[..., 1], way[..., 0])
    off = np.abs(np.angle(np.exp(1j * (direction - crowd.heading_rad[:, 1:]))))[fast]
    assert (off < np.pi / 3).mean() > 0.95


def test_groups_stand_together(crowd):
    """At some time three people stand within a metre and a half of each other."""
    still = np.linalg.norm(np.diff(crowd.position_m, axis=1), axis=2) < 0.005
    for frame in range(0, still.shape[1], 10):
        place = crowd.position_m[still[:, frame], frame]
        near = np.linalg.norm(place[:, None] - place[None], axis=-1) < 1.5
        if near.sum(axis=1).max(initial=0) >= 3:
            return
    pytest.fail("nobody ever stood in a group")


def test_any_environment_has_a_room_with_its_cameras_inside():
    """A hall spans the map and every camera; people walk in it without meeting walls."""
    campus = load_environments().environments["campus"]
    room = room_for(campus)
    x0, y0, x1, y1 = room.bounds_m
    for camera in campus.cameras:
        centre = camera.ground_plane.camera_centre_m
        if centre is not None:
            assert x0 < centre[0] < x1
            assert y0 < centre[1] < y1
            assert centre[2] < room.ceiling_m
    walks = simulate_walks(room, make_people(6, 2), 100, RATE_HZ, 2)
    assert Floor(room).clearance_m(walks.position_m[walks.is_present()]).min() > 0.1


def test_a_small_hall_still_lets_people_in():
    """Four metres by five are enough for somebody to walk about."""
    walks = simulate_walks(hall((0.0, 0.0, 4.0, 5.0)), make_people(3, 2), 150, RATE_HZ, 3)
    assert walks.is_present().mean() > 0.3
    assert np.nansum(np.linalg.norm(np.diff(walks.position_m, axis=1), axis=2)) > 5.0

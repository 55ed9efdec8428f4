"""Rooms with things in them: who stands behind, and what is taken for a person."""

import numpy as np
import pytest

from plugins.errors import InvalidInputError
from plugins.frames import Detections
from plugins.tracking import Tracker, TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.scenery import Scenery, Whereabouts
from plugins.tracking.sight import Visibility
from tests.tracking.world import START_NS, World, box_of, four_cameras, run, step, walk

PARAMETERS = TrackingParameters()
# In and out of the half of the floor that a shelf hides from all cameras but one.
BEHIND_A_SHELF = {"ann": walk((0, 1, 3), (4, 5, 3), (24, 5, 4), (28, 1, 3))}
STATUE_M = (5.0, 3.0)


def a_shelf(camera_id, place_m):
    """Hides the floor beyond four metres from three of four cameras."""
    return camera_id != "c1" and place_m[0] > 4.0


def shown(results, true_m, first_s, last_s, rate_hz=10.0):
    """Share of the sets between two seconds that show somebody within half a metre of a place."""
    near = [
        any(
            np.hypot(*np.subtract(p.position_m, true_m(index / rate_hz))) < 0.5
            for p in result.positions
        )
        for index, result in results
        if first_s <= index / rate_hz < last_s
    ]
    return sum(near) / len(near)


def test_whom_things_hide_from_all_cameras_but_one_is_shown_on_the_floor():
    """Three cameras that should see somebody and do not are no reason to give them up."""
    world = World(four_cameras(), BEHIND_A_SHELF, seed=2, screened=a_shelf)
    results = run(world, 28)
    assert shown(results, BEHIND_A_SHELF["ann"], 2, 28) > 0.97
    assert len({p.global_id for _, result in results for p in result.positions}) == 1


def test_a_thing_that_one_camera_takes_for_a_person_is_not_shown_on_the_floor():
    """It never moves, and the cameras that should see somebody there see nobody."""
    planes = four_cameras()
    statue = box_of(planes["c1"], STATUE_M)
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    tracker = Tracker(planes, PARAMETERS, "seed", "none")
    rng = np.random.default_rng(4)
    for index in range(600):
        boxes = dict.fromkeys(planes, nothing)
        noisy = (statue + rng.normal(0, 1.5, 4)).astype(np.float32)[None]
        boxes["c1"] = Detections(noisy, np.array([0.6], np.float32))
        tracker.associate(index, START_NS + index * 100_000_000, boxes)
        result = tracker.identify(None)
        assert [t.bbox_xyxy for t in result.tracks["c1"]] or index < 5
        assert not result.positions, index


def test_who_stands_still_before_several_cameras_is_shown():
    """Somebody who never moves, but whom two cameras see, is no such thing."""
    world = World(
        four_cameras(),
        {"ann": walk((0, 5, 3), (20, 5, 3))},
        screened=lambda camera_id, _: camera_id in {"c2", "c3"},
    )
    assert shown(run(world, 20), lambda _: (5, 3), 3, 20) > 0.97


def test_a_camera_that_does_not_expect_to_see_somebody_does_not_tell():
    """Who stands still where one camera alone looks is shown."""
    planes = {"c1": four_cameras()["c1"]}
    world = World(planes, {"ann": walk((0, 5, 3), (20, 5, 3))})
    assert shown(run(world, 20), lambda _: (5, 3), 4, 20) > 0.97


def watched(scenery, place_m, has_box, sets=200, behind=None):
    """The chance that things hide somebody who stood at a place for ``sets`` tenths of a second,
    if it was ``behind`` before.
    """
    person = People("seed").begin(0)
    person.mean[:2], person.behind = place_m, behind or {}
    for _ in range(sets):
        where = Whereabouts.of([person], 0.1, PARAMETERS)
        chance = scenery.behind(where, PARAMETERS)
        scenery.learn(
            where,
            Visibility(np.zeros(1), np.ones(1), chance, 0.9 * (1.0 - chance)),
            np.array([has_box]),
            is_sure=np.array([True]),
            dt_s=0.1,
            parameters=PARAMETERS,
        )
    return person.behind["c1"]


def usual(scenery, place_m):
    """The same of somebody who has just come there."""
    person = People("seed").begin(0)
    person.mean[:2] = place_m
    return scenery.behind(Whereabouts.of([person], 0.1, PARAMETERS), PARAMETERS).item()


def test_who_is_missed_for_long_is_taken_to_stand_behind_something():
    """And there others are, too, but not elsewhere."""
    scenery = Scenery("c1")
    assert usual(scenery, (2.5, 2.5)) == pytest.approx(PARAMETERS.behind_share)
    assert watched(scenery, (-1.5, 2.5), has_box=True) < 0.01
    assert watched(scenery, (2.5, 2.5), has_box=False) > 0.9
    assert usual(scenery, (2.5, 2.5)) > 0.6
    assert usual(scenery, (-1.5, 2.5)) < 0.15


def test_a_box_shows_that_nothing_stands_before_somebody():
    """However long they were missed, and whoever else was there."""
    scenery = Scenery("c1")
    watched(scenery, (2.5, 2.5), has_box=False)
    assert watched(scenery, (2.5, 2.5), has_box=True, sets=1, behind={"c1": 0.98}) < 0.01


def test_a_shelf_that_is_taken_away_is_forgotten():
    """However long it has stood there."""
    scenery = Scenery("c1")
    for _ in range(4):
        watched(scenery, (2.5, 2.5), has_box=False, sets=1000)
    assert usual(scenery, (2.5, 2.5)) > 0.9
    watched(scenery, (2.5, 2.5), has_box=True, sets=6000)
    assert usual(scenery, (2.5, 2.5)) < 0.2


def test_who_comes_back_is_not_hidden_by_what_hid_them_when_they_left():
    """A new place, and nothing known of it."""
    people = People("seed")
    person = people.begin(0)
    person.behind, person.told, person.told_at_m = {"c1": 0.98}, {"c1": 3.0}, (2.5, 2.5)
    people.place(person, np.array([7.5, 2.5, 1.7]), np.eye(3), 10**9, PARAMETERS)
    assert (person.behind, person.told, person.told_at_m) == ({}, {}, None)


@pytest.mark.parametrize(
    "setting",
    [
        {"behind_share": 0.0},
        {"behind_share": 1.0},
        {"behind_s": 0.0},
        {"behind_m": 0.0},
        {"still_m": -1.0},
        {"still_evidence": -1.0},
    ],
    ids=str,
)
def test_settings_of_scenery_that_make_no_sense_are_refused(setting):
    """By name."""
    with pytest.raises(InvalidInputError, match=next(iter(setting))):
        TrackingParameters(**setting)


def test_what_is_learnt_of_the_room_survives_a_restart():
    """A restored tracker goes on with the same places, to the bit."""
    world = World(four_cameras(), BEHIND_A_SHELF, seed=2, screened=a_shelf)
    sets = world.sets(20)
    tracker = Tracker(world.planes, PARAMETERS, "seed", "made-up")
    for index, time_ns, boxes in sets[:120]:
        step(tracker, world, index, time_ns, boxes)
    again = Tracker.restore(tracker.snapshot(), world.planes, PARAMETERS)
    for index, time_ns, boxes in sets[120:]:
        first = step(tracker, world, index, time_ns, boxes)
        assert step(again, world, index, time_ns, boxes).positions == first.positions

"""The whole tracker on made-up floors: what users see of identities."""

import numpy as np
import pytest

from plugins.errors import InvalidInputError, UnknownCameraError
from plugins.frames import Detections
from plugins.tracking import Tracker, TrackingParameters
from tests.tracking.world import (
    START_NS,
    World,
    four_cameras,
    ids_by_name,
    purity,
    run,
    step,
    two_cameras,
    walk,
)

CROSSING = {
    "ann": walk((0, 1, 1), (7, 7, 5)),
    "bob": walk((0, 7, 1), (7, 1, 5)),
}
STANDING = {"ann": walk((0, 3, 2.5), (60, 3, 2.5))}


def crowd(count):
    """People on their own straight ways to and fro."""
    rng = np.random.default_rng(5)
    ways = rng.uniform([0.5, 0.5, 0.5, 0.5], [7.5, 5.5, 7.5, 5.5], (count, 4))
    return {
        f"p{i}": walk((0, a, b), (8, c, d), (16, a, b), (24, c, d))
        for i, (a, b, c, d) in enumerate(ways)
    }


def shared_ids(results):
    """(index, camera) where two tracks of one picture carry one id."""
    shared = []
    for index, result in results:
        for camera_id, tracks in result.tracks.items():
            ids = [t.global_id for t in tracks if t.global_id is not None]
            if len(ids) != len(set(ids)):
                shared.append((index, camera_id))
    return shared


@pytest.mark.parametrize("planes", [two_cameras(), four_cameras()], ids=["two", "four"])
@pytest.mark.parametrize("has_pictures", [True, False], ids=["pictures", "places"])
def test_crossing_people_keep_one_id_over_all_cameras(planes, has_pictures):
    """Two people who cross are two ids, the same in every camera, with and without appearance."""
    world = World(planes, CROSSING, has_pictures=has_pictures)
    results = run(world, 7)
    ids = ids_by_name(world, results)
    assert ids["ann"][0] != ids["bob"][0]
    # In one camera they hide each other wholly for half a second: a swap there takes time to show.
    assert purity(world, results) >= 0.95
    assert shared_ids(results) == []


def test_misses_and_clutter_cost_few_identities():
    """With a fifth of the boxes missing and false ones about, people keep their ids."""
    world = World(four_cameras(), crowd(4), seed=3, miss=0.2, clutter=0.1)
    results = run(world, 15)
    assert purity(world, results) >= 0.9
    assert shared_ids(results) == []


def test_crowd_never_shares_an_id_within_a_picture():
    """Ten people in a small room: whatever goes wrong, one picture shows each id once."""
    world = World(four_cameras(), crowd(10), seed=1, miss=0.1, clutter=0.1)
    assert shared_ids(run(world, 8)) == []


def test_occluded_person_keeps_the_id_the_other_cameras_know():
    """Somebody hidden in one camera behind another is still known from the second camera."""
    people = {
        "front": walk((0, 7.0, 3.0), (10, 7.0, 3.0)),
        "behind": walk((0, 4, 1), (4, 4, 3.0), (6, 4, 3.0), (10, 4, 5)),
    }
    world = World(two_cameras(), people)
    results = run(world, 10)
    assert len(ids_by_name(world, results)["behind"]) == 1


def test_person_is_recognised_after_a_blind_gap():
    """All cameras black out for five seconds; people are known again, by looks, at once."""
    people = {
        "ann": walk((0, 2, 1), (5, 3, 2), (10, 5, 2), (15, 6, 3)),
        "bob": walk((0, 6, 5), (5, 5, 4), (10, 2, 4), (15, 1, 5)),
    }
    world = World(four_cameras(), people, blind=lambda _camera_id, time_s: 5 <= time_s < 10)
    results = run(world, 15)
    assert {name: len(ids) for name, ids in ids_by_name(world, results).items()} == {
        "ann": 1,
        "bob": 1,
    }
    joined = [d for i, r in results if i >= 100 for d in r.decisions if d.cosine is not None]
    assert {d.verdict for d in joined} == {"joined"}
    assert all(d.seconds > 4.5 and d.threshold == 0.7 for d in joined)


def test_stranger_is_kept_apart_from_somebody_lost():
    """Who comes in after another left gets an id of their own, and the refusal is explained."""
    people = {"ann": walk((0, 4, 3), (4, 4, 3)), "eve": walk((7, 4, 3), (12, 4, 3))}
    world = World(four_cameras(), people)
    results = run(world, 11)
    ids = ids_by_name(world, results)
    assert set(ids["ann"]).isdisjoint(ids["eve"])
    (refusal,) = [d for _, r in results for d in r.decisions if d.verdict == "kept_apart"]
    assert refusal.global_id == ids["eve"][0]
    assert refusal.other_global_id == ids["ann"][0]
    assert refusal.cosine < refusal.threshold


def test_nobody_teleports():
    """The same looks too far away for the time between is another person."""
    here_then_there = {"ann": walk((0, 0.5, 3), (3, 0.5, 3)), "ann ": walk((4, 8, 3), (8, 8, 3))}
    planes = four_cameras()
    slow = TrackingParameters(max_speed_mps=1.0)
    world = World(planes, here_then_there)
    world.embed = lambda _index, requests: np.ones((len(requests), 8), np.float32)
    ids = ids_by_name(world, run(world, 8, parameters=slow))
    assert set(ids["ann"]).isdisjoint(ids["ann "])


def test_skipped_sets_change_no_identity():
    """Two of three sets dropped: time steps come from media time and ids stay."""
    world = World(four_cameras(), CROSSING)
    results = run(world, 7, skip=lambda index: index % 3 != 0)
    assert purity(world, results) >= 0.97


def test_one_camera_gone_for_a_while_changes_no_identity():
    """A camera without pictures for two seconds leaves everybody known."""
    world = World(
        four_cameras(),
        CROSSING,
        blind=lambda camera_id, time_s: camera_id == "c1" and 2 < time_s < 4,
    )
    results = run(world, 7)
    assert purity(world, results) >= 0.97
    blind = [r for i, r in results if 21 <= i <= 39]
    assert all(r.tracks["c1"] == [] for r in blind)


def test_positions_are_fused_and_close_to_the_truth():
    """Floor positions err by a fraction of a step, and say which cameras contribute."""
    world = World(four_cameras(), CROSSING)
    gaps = []
    for index, result in run(world, 7)[10:]:
        truth = np.array([path(index / 10) for path in CROSSING.values()])
        found = np.array([p.position_m for p in result.positions])
        assert len(found) == 2
        gaps += np.linalg.norm(truth[:, None] - found[None], axis=2).min(axis=1).tolist()
        assert all(len(p.camera_ids) >= 1 for p in result.positions)
    assert np.median(gaps) < 0.2
    assert np.max(gaps) < 0.6


def test_speed_is_estimated():
    """A steady walker's velocity is known within a quarter of a metre per second."""
    world = World(four_cameras(), {"ann": walk((0, 1, 3), (6, 7, 3))})
    (person,) = run(world, 5.5)[-1][1].positions
    np.testing.assert_allclose(person.velocity_mps, (1.0, 0.0), atol=0.25)


def test_decisions_are_rare():
    """Somebody who stands still is decided on once for each camera, not in every set."""
    world = World(four_cameras(), STANDING)
    decisions = [d for _, r in run(world, 10) for d in r.decisions]
    assert len([d for d in decisions if d.verdict == "new"]) == 1
    assert len(decisions) <= 5


def test_crops_are_rare():
    """After the start far less than one crop a second and person is asked for."""
    world = World(four_cameras(), crowd(4), seed=2)
    tracker = Tracker(world.planes, TrackingParameters(), "seed", "made-up")
    asked = []
    for index, time_ns, boxes in world.sets(20):
        requests = tracker.associate(index, time_ns, boxes)
        asked.append(len(requests))
        tracker.identify(world.embed(index, requests))
    assert max(asked) <= 8
    assert sum(asked[50:]) / 15 / 4 < 1.0


def test_same_input_gives_the_same_ids_and_another_seed_others():
    """Determinism: all results agree to the last bit; only the names depend on the seed."""
    world = World(four_cameras(), CROSSING, miss=0.1, clutter=0.1)
    first, second = run(world, 4), run(world, 4)
    assert first == second
    other = Tracker(world.planes, TrackingParameters(), "another", "made-up")
    last = [step(other, world, *each) for each in world.sets(4)][-1]
    assert {p.global_id for p in last.positions}.isdisjoint(
        p.global_id for p in first[-1][1].positions
    )


@pytest.mark.parametrize("cut", [1, 7, 33])
def test_restored_tracker_continues_bit_identically(cut):
    """A snapshot in the middle, restored, gives every later result exactly."""
    world = World(four_cameras(), crowd(5), seed=4, miss=0.1, clutter=0.2)
    tracker = Tracker(world.planes, TrackingParameters(), "seed", "made-up")
    sets = world.sets(6)
    for each in sets[:cut]:
        step(tracker, world, *each)
    restored = Tracker.restore(tracker.snapshot(), world.planes, TrackingParameters())
    assert restored.snapshot() == tracker.snapshot()
    for each in sets[cut:]:
        assert step(tracker, world, *each) == step(restored, world, *each)
    assert restored.snapshot() == tracker.snapshot()


def test_broken_snapshot_is_refused():
    """Bytes that are no snapshot say so."""
    with pytest.raises(InvalidInputError, match="not a tracker snapshot"):
        Tracker.restore(b"garbage", two_cameras(), TrackingParameters())


def test_misuse_is_refused():
    """Unknown camera, set out of order, half-done set, wrong number of embeddings: each is told."""
    tracker = Tracker(two_cameras(), TrackingParameters(), "seed", "made-up")
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    with pytest.raises(UnknownCameraError, match="attic"):
        tracker.associate(0, START_NS, {"attic": nothing})
    with pytest.raises(InvalidInputError, match="call associate first"):
        tracker.identify(None)
    tracker.associate(0, START_NS, {"east": nothing})
    with pytest.raises(InvalidInputError, match="call identify"):
        tracker.snapshot()
    assert tracker.identify(np.empty((0, 32), np.float32)).positions == []
    with pytest.raises(InvalidInputError, match="not later"):
        tracker.associate(0, START_NS, {"east": nothing})


def test_wrong_number_of_embeddings_is_refused_and_can_be_mended():
    """Rows that do not fit the requests raise; the set may then be identified properly."""
    world = World(four_cameras(), STANDING)
    tracker = Tracker(world.planes, TrackingParameters(), "seed", "made-up")
    for index, time_ns, boxes in world.sets(0.3):
        requests = tracker.associate(index, time_ns, boxes)
        if requests:
            with pytest.raises(InvalidInputError, match="one row for each"):
                tracker.identify(np.ones((len(requests) + 1, 8), np.float32))
        tracker.identify(world.embed(index, requests))


def test_person_where_no_floor_is_mapped_still_has_an_id():
    """Boxes whose feet are above the horizon get an id, and no place."""
    plane = {"flat": two_cameras()["north"]}
    tracker = Tracker(plane, TrackingParameters(), "seed", "made-up")
    box = Detections(np.array([[600, 5, 640, 60]], np.float32), np.array([0.8], np.float32))
    assert not plane["flat"].to_ground(np.array([[620.0, 60.0]])).is_valid.any()
    for index in range(20):
        tracker.associate(index, START_NS + index * 100_000_000, {"flat": box})
        result = tracker.identify(None)
    (track,) = result.tracks["flat"]
    assert track.global_id is not None
    assert track.map_coords is None
    assert result.positions == []

"""Sets wait for corrections, then are settled, each once and in order."""

from plugins.frames import NS_PER_S
from plugins.tracking import PersonPosition, SettledSet
from plugins.tracking.lag import Lag
from tests.tracking.test_tracker import CROSSING
from tests.tracking.world import World, four_cameras, run


def held(*ids_by_set):
    """A lag that holds one set a second with people of these ids."""
    return Lag(
        [
            SettledSet(k, k * NS_PER_S, {}, [position(name) for name in ids])
            for k, ids in enumerate(ids_by_set)
        ]
    )


def position(name):
    """Somebody somewhere."""
    return PersonPosition(
        global_id=name,
        position_m=(0.0, 0.0),
        velocity_mps=(0.0, 0.0),
        uncertainty_m=0.1,
        camera_ids=(),
    )


def ids(sets):
    """Ids of each set."""
    return [[p.global_id for p in one.positions] for one in sets]


def test_an_exchange_reaches_back_to_its_beginning():
    """Both people are each other from the second set on; the correction names that set."""
    lag = held(["a", "b"], ["a", "b"], ["b"])
    correction = lag.exchange("a", "b", NS_PER_S)
    assert correction is not None
    assert correction.since_index == 1
    assert ids(lag.release(2 * NS_PER_S)) == [["a", "b"], ["b", "a"], ["a"]]


def test_an_exchange_of_settled_sets_alone_corrects_nothing():
    """What has left the lag stays as it is."""
    lag = held(["a"])
    lag.release(0)
    assert lag.exchange("a", "b", 0) is None


def test_every_set_is_settled_once_and_in_order():
    """What was released during a run and what is left at its end are all sets."""
    world = World(four_cameras(), CROSSING)
    results = run(world, 4)
    settled = [s.set_index for _, r in results for s in r.settled]
    assert settled == list(range(len(results) - 20))

"""What found and missed boxes teach of the cameras."""

import numpy as np

from plugins.tracking.evidence import learn_biases, learn_detection
from plugins.tracking.gallery import Gallery
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.joint import Matched
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.sight import EDGES, MIDDLE, Visibility
from tests.tracking.world import camera

PARAMETERS = TrackingParameters()
PLANE = camera((0.0, -4.0, 2.5), (0.0, 0.0), 600.0)
VIEW = View("c1", [], PLANE, TrackingParameters())


def always(_):
    """Has a box in every set."""
    return True


def never(_):
    """Has none."""
    return False


def matched(people, residual, place, seen):
    """What one camera has of one person."""
    nothing = np.zeros((1, EDGES, EDGES)), np.zeros((1, EDGES))
    return Matched(people, people, np.zeros((1, 1)), residual, place, *nothing, seen)


def learnt(found, hidden, existence=5.0, sets=400):
    """The camera's rates after ``sets`` tenths of a second, in which ``found(k)`` tells whether the
    one person, of whom a share is ``hidden``, has a box in set ``k``.
    """
    state = IdentityState(People("seed"), Gallery("model", 4))
    person = state.people.begin(0)
    person.existence = existence
    state.detection["c1"] = np.array([PARAMETERS.detection, PARAMETERS.hidden_loss])
    for k in range(sets):
        d, loss = state.detection["c1"]
        seen = Visibility(
            np.array([hidden]),
            np.ones(1),
            np.zeros(1),
            np.array([d * (1.0 - loss * hidden)]).clip(0.02),
        )
        people = np.zeros(int(found(k)), np.intp)
        m = matched(people, np.zeros((len(people), EDGES)), np.zeros((len(people), 3)), seen)
        learn_detection(state, [VIEW], [person], [m], dt_s=0.1, parameters=PARAMETERS)
    return state.detection["c1"]


def test_a_camera_that_misses_nobody_is_believed_to_see_all():
    """Somebody in full view is found every time."""
    assert learnt(always, hidden=0.0)[0] > 0.88


def test_a_camera_that_misses_every_other_box_is_believed_less():
    """Somebody in full view is found half of the time."""
    assert learnt(lambda k: k % 2 == 0, hidden=0.0)[0] < 0.7


def test_who_is_found_behind_others_makes_hiding_matter_less():
    """The share that hiding takes goes down; the rate in full view stays within bounds."""
    rate, loss = learnt(always, hidden=0.8)
    assert loss < 0.6
    assert rate <= 0.98


def test_who_may_not_exist_teaches_nothing():
    """A phantom's missing boxes are no misses."""
    rates = learnt(never, hidden=0.0, existence=1.0)
    np.testing.assert_array_equal(rates, [PARAMETERS.detection, PARAMETERS.hidden_loss])


def test_a_turned_camera_is_learnt_where_it_errs():
    """Boxes err the more the further to the right somebody stands, as two cameras agree."""
    state = IdentityState(People("seed"), Gallery("model", 4))
    state.biases = {"c1": np.zeros((3, EDGES)), "c2": np.zeros((3, EDGES))}
    views = [VIEW, View("c2", [], PLANE, PARAMETERS)]
    seen, one = Visibility(*np.zeros((3, 1)), np.full(1, 0.8)), np.zeros(1, np.intp)
    for u in np.random.default_rng(1).uniform(-1.0, 1.0, 4000):
        place = np.array([[1.0, u, 0.3]])
        error = np.array([[0.01 + 0.05 * u, 0.0, 0.0, 0.0]])
        own = matched(one, error - place @ state.biases["c1"], place, seen)
        other = matched(one, np.zeros((1, EDGES)), place, seen)
        learn_biases(state, views, [own, other], 0.1, PARAMETERS)
    err, right, down = state.biases["c1"][:, MIDDLE]
    assert 0.035 < right < 0.055
    assert 0.005 < err + 0.3 * down < 0.012
    assert not state.biases["c2"].any()

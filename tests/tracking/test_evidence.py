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


def matched(people, residual, in_picture, seen):
    """What one camera has of one person."""
    nothing = np.zeros((1, EDGES, EDGES)), np.zeros((1, EDGES))
    return Matched(people, people, np.zeros((1, 1)), residual, in_picture, *nothing, seen)


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


def biases(hidden, dt_s=0.1, sets=4000):
    """Of two cameras that both have somebody ``hidden`` by so much, anywhere from left to right.
    The first one's boxes err, the more the further to the right.
    """
    state = IdentityState(People("seed"), Gallery("model", 4))
    state.biases = {"c1": np.zeros((3, EDGES)), "c2": np.zeros((3, EDGES))}
    views = [VIEW, View("c2", [], PLANE, PARAMETERS)]
    seen = Visibility(np.full(1, hidden), np.ones(1), np.zeros(1), np.full(1, 0.8))
    one = np.zeros(1, np.intp)
    for u in np.random.default_rng(1).uniform(-1.0, 1.0, sets):
        in_picture = np.array([[1.0, u, 0.3]])
        error = np.array([[0.01 + 0.05 * u, 0.0, 0.0, 0.0]])
        own = matched(one, error - in_picture @ state.biases["c1"], in_picture, seen)
        other = matched(one, -in_picture @ state.biases["c2"], in_picture, seen)
        learn_biases(state, views, [own, other], dt_s, PARAMETERS)
    return state.biases


def test_a_turned_camera_is_learnt_where_it_errs():
    """The other camera errs nowhere, and neither is whoever is hidden an example."""
    err, right, down = biases(hidden=0.0)["c1"][:, MIDDLE]
    assert 0.035 < right < 0.055
    assert 0.005 < err + 0.3 * down < 0.012
    assert not biases(hidden=0.0)["c2"].any()
    assert not biases(hidden=0.5)["c1"].any()


def test_long_sets_do_not_make_biases_swing():
    """A set every minute teaches no more than all that was wrong."""
    err, right, down = biases(hidden=0.0, dt_s=60.0, sets=200)["c1"][:, MIDDLE]
    assert 0.02 < right < 0.06
    assert abs(err + 0.3 * down - 0.01) < 0.01

"""What found and missed boxes teach of the cameras."""

import numpy as np

from plugins.tracking.evidence import learn_detection
from plugins.tracking.gallery import Gallery
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.joint import Matched
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.sight import EDGES, Visibility
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
        nothing = np.zeros((1, EDGES, EDGES)), np.zeros((1, EDGES))
        m = Matched(
            people, people, np.zeros((1, 1)), np.zeros((len(people), EDGES)), *nothing, seen
        )
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

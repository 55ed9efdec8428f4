"""One person known twice, each half by a camera of its own."""

import numpy as np
import pytest

from plugins.tracking import TrackingParameters
from plugins.tracking.gallery import Gallery
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.joint import Matched
from plugins.tracking.merging import merge_people
from plugins.tracking.people import People
from plugins.tracking.scenery import Scenery, Whereabouts
from plugins.tracking.sight import EDGES, Visibility
from tests.tracking.world import four_cameras

PARAMETERS = TrackingParameters()
STEP_S = 0.1


def halves(metres_apart):
    """Two who surely exist, so far apart, and the views of two cameras."""
    state = IdentityState(People("seed"), Gallery("none", 4))
    people = [state.people.begin(0), state.people.begin(0)]
    for person, x in zip(people, (5.0, 5.0 + metres_apart), strict=True):
        person.existence, person.is_real = 5.0, True
        state.people.place(person, np.array([x, 3.0, 1.7]), np.eye(3) * 0.01, 0, PARAMETERS)
    planes = four_cameras()
    return state, people, [View(c, [], planes[c], PARAMETERS) for c in ("c1", "c2")]


def matched(row, seen):
    """The person of ``row`` alone has a box."""
    nothing = np.zeros((2, EDGES, EDGES)), np.zeros((2, EDGES))
    rows, ratios, misfit = np.array([row]), np.zeros((2, 1)), np.zeros((1, EDGES))
    return Matched(rows, np.array([0]), ratios, misfit, np.zeros((1, 3)), *nothing, seen)


@pytest.mark.parametrize("metres_apart", [0.2, 0.4])
def test_two_halves_of_one_person_become_one(metres_apart):
    """Each camera has a box of one of the two alone, and errs: no thing hides the other from it."""
    state, people, views = halves(metres_apart)
    scenery = [Scenery("c1"), Scenery("c2")]
    for k in range(30):
        state.time_ns = round(k * STEP_S * 1e9)
        where = Whereabouts.of(people, STEP_S, PARAMETERS)
        told = []
        for row, one in enumerate(scenery):
            people[row].seen_ns = state.time_ns
            behind = one.behind(where, PARAMETERS)
            seen = Visibility(np.zeros(2), np.ones(2), behind, 0.8 * (1.0 - behind))
            told.append(matched(row, seen))
            one.learn(
                where,
                seen,
                told[-1].has_box,
                is_sure=np.ones(2, bool),
                dt_s=STEP_S,
                parameters=PARAMETERS,
            )
        if merge_people(state, views, people, told, dt_s=STEP_S, parameters=PARAMETERS):
            break
    assert len(state.people.persons) == 1
    assert k * STEP_S < 2.0

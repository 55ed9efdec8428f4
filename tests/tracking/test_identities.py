"""What is kept of people's looks, a set at a time."""

import numpy as np
import pytest

from plugins.frames import NS_PER_S
from plugins.tracking.gallery import Gallery
from plugins.tracking.identities import identify
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.matching import Look
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People

PARAMETERS = TrackingParameters()
ALONG, ACROSS = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize(("second", "kept"), [(ALONG, 2), (ACROSS, 1)])
def test_the_first_looks_of_a_new_person_are_held_against_each_other(second, kept):
    """Two cameras' of one set: of two that cannot be the same person, only the first is kept."""
    state = IdentityState(People("seed"), Gallery("made-up", 8), time_ns=NS_PER_S)
    person = state.people.begin(NS_PER_S)
    for camera_id, vector in (("c1", ALONG), ("c2", second)):
        state.link(camera_id, 1).join(person.number)
        state.link(camera_id, 1).look = Look(vector, 0.9)
    living = {"c1": {1}, "c2": {1}}
    identify(state, [], living, {}, time_ns=NS_PER_S, parameters=PARAMETERS)
    (looks,) = state.gallery.looks()
    assert len(looks.vectors) == kept
    assert looks.vectors[0].tolist() == ALONG.tolist()

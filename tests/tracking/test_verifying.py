"""Who looks like somebody else for long becomes that one."""

import numpy as np
import pytest

from plugins.frames import NS_PER_S
from plugins.tracking.gallery import Gallery
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.matching import Look
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People, Person
from plugins.tracking.verifying import glimpse, verify

PARAMETERS = TrackingParameters()
LOOKS = np.eye(8, dtype=np.float32)


def state_of(count: int) -> IdentityState:
    """People in a row, half a metre apart, each in a tracklet of their own and well known."""
    state = IdentityState(People("seed"), Gallery("made-up", 12))
    for number in range(count):
        person = state.people.begin(0)
        place, cov = np.array([0.5 * number, 0.0, 1.7]), np.eye(3)
        state.people.place(person, place, cov, 0, PARAMETERS)
        person.existence = 3.0
        state.link("c1", number).join(number)
        state.gallery.add(number, LOOKS[number], 0.9)
    return state


def see(state: IdentityState, time_s: float, shown: dict[int, int]) -> list[str]:
    """Crops of tracklets, each showing one of ``LOOKS``; the verdicts that follow."""
    state.time_ns = round(time_s * NS_PER_S)
    for person in state.people.persons.values():
        person.time_ns = person.seen_ns = state.time_ns
    for track_id, look in shown.items():
        state.link("c1", track_id).look = Look(LOOKS[look], 0.9)
    glimpse(state, PARAMETERS)
    decisions = verify(state, PARAMETERS)
    for track_id in shown:
        state.link("c1", track_id).look = None
    return [d.verdict for d in decisions]


def who(state: IdentityState, track_id: int) -> Person:
    person = state.person_of("c1", track_id)
    assert person is not None
    return person


def test_two_who_look_like_each_other_are_exchanged():
    """One crop is chance; with the second of both, names change and places stay."""
    state = state_of(2)
    assert see(state, 0.5, {0: 1, 1: 0}) == []
    assert see(state, 1.0, {0: 1, 1: 0}) == ["corrected", "corrected"]
    assert (who(state, 0).number, who(state, 1).number) == (1, 0)
    assert who(state, 0).mean[0] == pytest.approx(0.0)
    assert see(state, 1.5, {0: 1, 1: 0}) == []


def test_who_looks_like_a_lost_person_becomes_that_one():
    """The name goes over to whom the crops show; whose it was is lost since."""
    state = state_of(2)
    del state.links["c1"][1]
    see(state, 0.5, {0: 1})
    assert see(state, 3.5, {0: 1}) == ["corrected", "corrected"]
    assert who(state, 0).number == 1
    assert state.people.persons[0].seen_ns < state.time_ns


def test_who_looks_like_nobody_known_keeps_the_name():
    """People change: turned round or badly lit they are not somebody else for that."""
    state = state_of(2)
    for k in range(4):
        assert see(state, 0.5 * k + 0.5, {0: 5}) == []
    assert who(state, 0).number == 0


def test_who_looks_like_nobody_known_after_being_out_of_sight_is_somebody_new():
    """They came from where the other went; the other is lost, and the new one keeps the place."""
    state = state_of(2)
    who(state, 0).back_ns = round(0.4 * NS_PER_S)
    assert see(state, 0.5, {0: 5}) == []
    assert see(state, 1.0, {0: 5}) == []
    assert who(state, 0).is_doubted
    assert see(state, 1.5, {0: 5}) == ["corrected", "corrected"]
    assert who(state, 0).number == 2
    assert who(state, 0).mean[0] == pytest.approx(0.0)
    assert who(state, 0).existence == pytest.approx(3.0)
    assert state.people.persons[0].seen_ns <= 0.5 * NS_PER_S
    assert see(state, 2.0, {0: 5}) == []


def test_one_crop_like_the_person_keeps_the_name_after_being_out_of_sight():
    """Not all that was seen is strange."""
    state = state_of(2)
    who(state, 0).back_ns = round(0.4 * NS_PER_S)
    see(state, 0.5, {0: 0})
    for k in range(5):
        assert see(state, 0.5 * k + 1.0, {0: 5}) == []
    assert who(state, 0).number == 0


def test_a_picture_of_the_other_one_is_asked_for():
    """Whose name was taken has no new crop: both are in doubt until it is there."""
    state = state_of(2)
    see(state, 0.5, {0: 1})
    assert see(state, 1.0, {0: 1}) == []
    assert state.doubtful() == {0, 1}
    see(state, 1.5, {0: 1, 1: 1})
    assert who(state, 0).number == 0

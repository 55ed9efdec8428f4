"""Looks and recognition."""

import numpy as np
import pytest

from plugins.errors import InvalidInputError
from plugins.tracking.gallery import Gallery, unit
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.recognition import recognise

NS = 1_000_000_000
PARAMETERS = TrackingParameters()


def direction(*values):
    return unit(np.array([values], float))[0]


def lost_people(gallery, **looks):
    """People last seen at the origin at second 0, in the order given."""
    people = People("seed")
    persons = {}
    for name, vector in looks.items():
        person = people.begin(0)
        people.place(person, np.array([0.0, 0.0, 1.7]), np.eye(3), 0, PARAMETERS)
        gallery.add(person.number, vector, 0.9)
        persons[name] = person
    return persons


def test_similarity_is_the_cosine_weighted_by_quality():
    """Two embeddings, the better counting three times as much; others are not looked at."""
    gallery = Gallery("model", 4)
    gallery.add(1, direction(1, 0), 0.9)
    gallery.add(1, direction(0, 1), 0.3)
    gallery.add(2, direction(1, 0), 0.9)
    assert gallery.similarity(direction(1, 0), [1]) == {1: pytest.approx(0.75)}
    assert gallery.similarity(direction(1, 0), [7]) == {}


def test_cap_keeps_what_is_different_and_good():
    """Over the cap, the poorer of the two most alike goes."""
    gallery = Gallery("model", 3)
    for vector, quality in (
        ((1, 0, 0), 0.9),
        ((1, 0.05, 0), 0.5),
        ((0, 1, 0), 0.2),
        ((0, 0, 1), 0.2),
    ):
        gallery.add(1, direction(*vector), quality)
    assert [e.quality for e in gallery.entries] == [0.9, 0.2, 0.2]


def test_merging_and_forgetting():
    """All looks change hands; forgotten ones are gone."""
    gallery = Gallery("model", 4)
    gallery.add(1, direction(1, 0), 0.9)
    gallery.add(2, direction(0, 1), 0.9)
    gallery.merge(1, 2)
    assert {e.person for e in gallery.entries} == {1}
    assert gallery.similarity(direction(0, 1), [1])[1] == pytest.approx(0.5)
    gallery.forget({1})
    assert gallery.mean(1) is None


def test_vectors_of_another_model_are_not_compared():
    """A new model begins with an empty gallery; a new length without saying so is refused."""
    gallery = Gallery("old", 4)
    gallery.add(1, direction(1, 0), 0.9)
    with pytest.raises(InvalidInputError, match="model old gave 3 numbers"):
        gallery.add(1, direction(1, 0, 0), 0.9)
    gallery.use_model("new")
    gallery.add(1, direction(1, 0, 0), 0.9)
    assert len(gallery.entries) == 1


def test_unit_vectors_survive_zeros_and_nan():
    """What cannot be scaled is zero, never NaN."""
    rows = unit(np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, np.inf]]))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, 0]])


def test_lost_person_is_recognised():
    """The same looks, near enough in the time."""
    gallery = Gallery("model", 4)
    people = lost_people(gallery, ann=direction(1, 0, 0), bob=direction(0, 1, 0))
    found = recognise(
        direction(0.9, 0.1, 0.2),
        np.array([2.0, 0.0]),
        list(people.values()),
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
    )
    assert found is not None
    assert found.person is people["ann"]
    assert found.is_same
    assert (found.metres, found.seconds) == (pytest.approx(2.0), 3.0)


def test_too_far_away_is_not_even_compared():
    """Twenty metres in three seconds."""
    gallery = Gallery("model", 4)
    people = lost_people(gallery, ann=direction(1, 0))
    found = recognise(
        direction(1, 0),
        np.array([20.0, 0.0]),
        list(people.values()),
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
    )
    assert found is None


def test_twins_are_kept_apart():
    """Two lost people as like as each other: no guess is made."""
    gallery = Gallery("model", 4)
    people = lost_people(gallery, ann=direction(1, 0.1), amy=direction(1, -0.1))
    found = recognise(
        direction(1, 0),
        None,
        list(people.values()),
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
    )
    assert found is not None
    assert not found.is_same
    assert found.reason == "looks like two people equally"

"""Looks and recognition."""

import numpy as np
import pytest

from plugins.errors import InvalidInputError
from plugins.tracking.appearance import log_likelihood
from plugins.tracking.gallery import Gallery, unit
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.recognition import recognise

NS = 1_000_000_000
PARAMETERS = TrackingParameters()


def direction(*values):
    return unit(np.array([values], float))[0]


class Crowd:
    """People of whom two looks have a cosine of about 0.68, and 0.5 with anybody else's."""

    def __init__(self, people):
        self._rng = np.random.default_rng(5)
        self._own = unit(self._rng.standard_normal((people, 256)))
        self._common = unit(self._rng.standard_normal((1, 256)))[0]

    def look(self, person):
        noise = unit(self._rng.standard_normal((1, 256)))[0]
        return unit((self._common + 0.6 * self._own[person] + 0.8 * noise)[None])[0]

    def gallery(self, persons):
        gallery = Gallery("model", 12)
        for person in persons:
            for _ in range(3):
                gallery.add(person, self.look(person), 0.8)
        return gallery


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


def test_cosine_is_weighted_by_quality():
    """Two embeddings, the better counting three times as much; who has none is not known."""
    gallery = Gallery("model", 4)
    gallery.add(1, direction(1, 0), 0.9)
    gallery.add(1, direction(0, 1), 0.3)
    gallery.add(2, direction(1, 0), 0.9)
    found = gallery.cosines(unit(np.eye(2)), [1, 7, 2])
    np.testing.assert_allclose(found, [[0.75, np.nan, 1.0], [0.25, np.nan, 0.0]])


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
    (looks,) = gallery.looks()
    assert looks.quality.tolist() == [0.9, 0.2, 0.2]


def test_merging_and_forgetting():
    """All looks change hands; forgotten ones are gone, and nobody else's with them."""
    gallery = Gallery("model", 4)
    gallery.add(1, direction(1, 0), 0.9)
    gallery.add(2, direction(0, 1), 0.9)
    gallery.add(3, direction(-1, 0), 0.9)
    gallery.merge(1, 2)
    assert [one.person for one in gallery.looks()] == [1, 3]
    assert gallery.cosines(direction(0, 1)[None], [1])[0, 0] == pytest.approx(0.5)
    gallery.forget({1, 99})
    assert gallery.mean(1) is None
    assert gallery.cosines(direction(-1, 0)[None], [3])[0, 0] == 1.0


def test_vectors_of_another_model_are_not_compared():
    """A new model begins with an empty gallery; a new length without saying so is refused."""
    gallery = Gallery("old", 4)
    gallery.add(1, direction(1, 0), 0.9)
    with pytest.raises(InvalidInputError, match="model old gave 3 numbers"):
        gallery.add(1, direction(1, 0, 0), 0.9)
    gallery.use_model("new")
    gallery.add(1, direction(1, 0, 0), 0.9)
    assert len(gallery) == 1


def test_many_people_are_found_as_by_comparing_all():
    """Of 3,000 people the most alike one is nearly always the one that comparing all finds, though
    looks of one person differ a lot and all people look alike a little.
    """
    crowd = Crowd(3000)
    gallery = crowd.gallery(range(3000))
    searches = range(0, 3000, 15)
    right = 0
    for person in searches:
        look = crowd.look(person)
        everybody = gallery.cosines(look[None], range(3000))[0]
        right += gallery.nearest(look, 3)[0][0] == int(everybody.argmax())
    assert right >= 0.99 * len(searches)


def test_a_large_gallery_changes_in_place():
    """Forgotten people are not found, others still are, and new ones are at once."""
    crowd = Crowd(900)
    gallery = crowd.gallery(range(800))
    gallery.nearest(crowd.look(0), 1)
    gallery.forget(range(0, 800, 2))
    gallery.add(850, crowd.look(850), 0.9)
    gallery.merge(1, 3)
    assert len(gallery) == 400
    found = [gallery.nearest(crowd.look(person), 400)[0][0] for person in (850, 1, 3, 799)]
    assert found == [850, 1, 1, 799]
    everybody = {person for person, _ in gallery.nearest(crowd.look(0), 1000)}
    assert everybody == {*range(1, 800, 2), 850} - {3}


def test_a_restored_gallery_answers_to_the_last_bit():
    """After removals and with sketches in use, too."""
    crowd = Crowd(700)
    gallery = crowd.gallery(range(700))
    gallery.nearest(crowd.look(0), 1)
    gallery.forget(range(100))
    again = Gallery("model", 12, gallery.looks(), gallery.centre)
    for person in range(300, 320):
        look = crowd.look(person)
        assert again.nearest(look, 50) == gallery.nearest(look, 50)
        gallery.add(person, look, 0.7)
        again.add(person, look, 0.7)


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
        lambda: np.array([2.0, 0.0]),
        {person.number: person for person in people.values()}.get,
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
        lambda: np.array([20.0, 0.0]),
        {person.number: person for person in people.values()}.get,
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
    )
    assert found is None


def test_where_is_not_asked_unless_somebody_is_alike_enough():
    """With a least cosine that nobody reaches, nobody is found, wherever it is."""
    gallery = Gallery("model", 4)
    people = lost_people(gallery, ann=direction(1, 0))
    asked = []
    found = recognise(
        direction(0.1, 1),
        lambda: asked.append(True),
        {person.number: person for person in people.values()}.get,
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
        least=PARAMETERS.same_cosine,
    )
    assert found is None
    assert not asked


def test_twins_are_kept_apart():
    """Two lost people as like as each other: no guess is made."""
    gallery = Gallery("model", 4)
    people = lost_people(gallery, ann=direction(1, 0.1), amy=direction(1, -0.1))
    found = recognise(
        direction(1, 0),
        lambda: None,
        {person.number: person for person in people.values()}.get,
        gallery,
        time_ns=3 * NS,
        parameters=PARAMETERS,
    )
    assert found is not None
    assert not found.is_same
    assert found.reason == "looks like two people equally"


def test_looks_give_odds_of_eight_to_one_at_the_limits():
    """At the model's two cosines, in between, beyond, and where nothing is known."""
    low, high = PARAMETERS.different_cosine, PARAMETERS.same_cosine
    odds = np.exp(log_likelihood(np.array([low, (low + high) / 2, high, 1.0, -1.0]), PARAMETERS))
    assert odds[1] == pytest.approx(1.0)
    assert odds[0] == pytest.approx(1 / odds[2])
    assert 7 < odds[2] < odds[3] < 49.001
    assert odds[4] == pytest.approx(1 / 49, rel=0.01)
    assert log_likelihood(np.array([np.nan]), PARAMETERS).tolist() == [0.0]

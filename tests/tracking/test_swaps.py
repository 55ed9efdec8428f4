"""Two people who met: the story in which they were exchanged, followed beside the accepted one."""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking import TrackingParameters
from plugins.tracking.exchanges import exchange
from plugins.tracking.gallery import Gallery
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.people import People, Person
from plugins.tracking.swaps import Story, follow

PARAMETERS = TrackingParameters()
UNSEEN = np.zeros((2, 2))


def person(number, x, height):
    """Somebody at rest at (x, 0), the height known to 2 cm."""
    mean = np.array([x, 0.0, height, 0.6, 0.0, 0.0])
    cov = np.diag([0.04, 0.04, 0.0004, 0.01, 0.25, 0.25])
    return Person(number, str(number), 0, 0, 0, mean, cov, has_place=True)


def boxes(*states, sigma=0.1):
    """Information and weighted measurements of people seen at ``states`` (x, y, height, width)."""
    information = np.repeat(np.eye(4)[None] / sigma**2, len(states), axis=0)
    return information, np.array(states) / sigma**2


def test_heights_betray_an_exchange():
    """Tall and small stand together; the boxes of both then say the other's height."""
    stories = {}
    for k in range(5):
        pair = [person(1, 0.0, 1.9), person(2, 0.3, 1.6)]
        told = boxes((0.0, 0.0, 1.6, 0.6), (0.3, 0.0, 1.9, 0.6))
        stories = follow(
            stories,
            pair,
            *told,
            UNSEEN,
            time_ns=k * NS_PER_S // 4,
            dt_s=0.25,
            parameters=PARAMETERS,
        )
    (story,) = stories.values()
    assert story.pair == (1, 2)
    assert story.log_odds > PARAMETERS.swap_evidence


def test_who_stays_apart_is_no_story():
    """People far from each other are never thought exchanged, nor are clear boxes doubted."""
    far = [person(1, 0.0, 1.7), person(2, 5.0, 1.7)]
    told = boxes((0.0, 0.0, 1.7, 0.6), (5.0, 0.0, 1.7, 0.6))
    assert follow({}, far, *told, UNSEEN, time_ns=0, dt_s=0.25, parameters=PARAMETERS) == {}
    near = [person(1, 0.0, 1.7), person(2, 1.4, 1.7)]
    clear = boxes((0.0, 0.0, 1.7, 0.6), (1.4, 0.0, 1.7, 0.6), sigma=0.02)
    assert follow({}, near, *clear, UNSEEN, time_ns=0, dt_s=0.25, parameters=PARAMETERS) == {}


def crossed_looks(look_odds):
    """A state in which boxes want to exchange persons 0 and 1, who look different."""
    gallery = Gallery("model", 4)
    people = People("seed")
    for k in range(2):
        people.begin(0)
        gallery.add(k, np.eye(2, dtype=np.float32)[k], 0.9)
    story = Story((0, 1), 0, np.zeros((2, 6)), np.zeros((2, 6, 6)), 3.0, look_odds)
    return IdentityState(people, gallery, stories={(0, 1): story}, time_ns=NS_PER_S)


def test_boxes_alone_exchange_nobody_who_looks_different():
    """Only once a crop has shown one where the other was thought to be."""
    assert exchange(crossed_looks(0.0), PARAMETERS) == []
    told = exchange(crossed_looks(2.0), PARAMETERS)
    assert [decision.verdict for decision in told] == ["corrected", "corrected"]


def test_looks_tell_for_and_against_a_story():
    """Crops of both that look like the other add up over sets."""
    stories = {}
    for k in range(2):
        pair = [person(1, 0.0, 1.7), person(2, 0.3, 1.7)]
        told = boxes((0.0, 0.0, 1.7, 0.6), (0.3, 0.0, 1.7, 0.6), sigma=0.5)
        stories = follow(
            stories,
            pair,
            *told,
            np.array([[-1.0, 1.0], [0.5, -0.5]]),
            time_ns=k * NS_PER_S // 4,
            dt_s=0.25,
            parameters=PARAMETERS,
        )
    (story,) = stories.values()
    assert story.look_odds >= 3.0

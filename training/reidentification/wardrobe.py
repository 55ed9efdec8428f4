"""People to learn from: the scenes' own, and others in any colours; many dressed alike."""

import colorsys
from dataclasses import replace

import numpy as np

from training.people import CLOTH, Colour, Person, make_people

PEOPLE = 32
_CLOTHES_AND_BAG = ("top", "top_colour", "second_colour", "cloth", "long_sleeves")
_LEGWEAR = ("legs", "legs_colour", "shoes_colour")


def dressed_people(seed: int) -> tuple[Person, ...]:
    """32 people of one scene. Person 2k + 1 is 2k in another build: it shares the top with it, and
    one time in three the trousers and shoes instead, but is of another height, skin or hair.
    """
    random = np.random.default_rng((seed, 401))
    people = list(make_people(PEOPLE, seed + 10_000))
    people = [_recoloured(p, random) if random.uniform() < 0.6 else p for p in people]
    for k in range(0, PEOPLE, 2):
        shared = _LEGWEAR if random.uniform() < 0.33 else _CLOTHES_AND_BAG
        people[k + 1] = _told_apart(people[k], _alike(people[k + 1], people[k], shared), random)
    return tuple(people)


def _recoloured(person: Person, random: np.random.Generator) -> Person:
    is_patterned = person.top != "jacket" and random.uniform() < 0.55
    return replace(
        person,
        top_colour=_any_colour(random),
        second_colour=_any_colour(random),
        legs_colour=_any_colour(random, saturation=0.5),
        bag_colour=_any_colour(random),
        shoes_colour=_any_colour(random, saturation=0.4),
        cloth=str(random.choice(CLOTH[1:7])) if is_patterned else person.cloth,
    )


def _any_colour(random: np.random.Generator, saturation: float = 0.9) -> Colour:
    """Greys as often as colours, as people's clothes are."""
    pale = random.uniform() < 0.4
    s = random.uniform(0, 0.15) if pale else random.uniform(0.15, saturation)
    return colorsys.hsv_to_rgb(random.uniform(), s, random.beta(1.1, 1.4) * 0.86 + 0.05)


def _alike(person: Person, other: Person, fields: tuple[str, ...]) -> Person:
    return replace(
        person,
        twin_of=other.person_id,
        top_name=other.top_name,
        **{name: getattr(other, name) for name in fields},
    )


def _told_apart(person: Person, twin: Person, random: np.random.Generator) -> Person:
    """``twin`` with at least something that a camera can tell from ``person``."""
    if person.top_colour != twin.top_colour:
        return twin
    if _distance(person.legs_colour, twin.legs_colour) > 0.25 or person.bag != twin.bag:
        return twin
    colour = person.legs_colour
    while _distance(person.legs_colour, colour) < 0.3:
        colour = _any_colour(random, saturation=0.5)
    return replace(twin, legs_colour=colour)


def _distance(first: Colour, second: Colour) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))

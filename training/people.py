"""Who walks through the scene: height, build, clothes, hair and bags, made up from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

Colour = tuple[float, float, float]
Hair = Literal["short", "long", "bun", "bald", "cap"]
Legs = Literal["trousers", "shorts", "skirt"]
Top = Literal["shirt", "jacket", "coat"]
Bag = Literal["none", "backpack", "shoulder bag", "handbag"]

Name = TypeVar("Name", bound=str)

_HAIRCUTS: tuple[Hair, ...] = ("short", "long", "bun", "bald", "cap")
_TOPWEAR: tuple[Top, ...] = ("shirt", "jacket", "coat")
_LEGWEAR: tuple[Legs, ...] = ("trousers", "shorts", "skirt")
_BAGS: tuple[Bag, ...] = ("none", "backpack", "shoulder bag", "handbag")
CLOTH = ("plain", "stripes", "pinstripes", "checks", "print", "two-tone", "dots", "zip")

_SKINS = (
    (0.93, 0.77, 0.67),
    (0.86, 0.67, 0.53),
    (0.76, 0.56, 0.42),
    (0.55, 0.38, 0.27),
    (0.36, 0.24, 0.18),
)
_HAIRS = (
    (0.09, 0.07, 0.06),
    (0.20, 0.13, 0.09),
    (0.36, 0.24, 0.14),
    (0.66, 0.52, 0.31),
    (0.55, 0.55, 0.55),
    (0.42, 0.17, 0.09),
)
_TOPS = {
    "red": (0.68, 0.13, 0.12),
    "orange": (0.86, 0.45, 0.13),
    "yellow": (0.88, 0.74, 0.22),
    "green": (0.17, 0.44, 0.22),
    "olive": (0.38, 0.38, 0.21),
    "turquoise": (0.16, 0.56, 0.58),
    "blue": (0.17, 0.31, 0.63),
    "light blue": (0.52, 0.68, 0.84),
    "navy": (0.10, 0.13, 0.26),
    "purple": (0.40, 0.20, 0.46),
    "pink": (0.86, 0.52, 0.62),
    "white": (0.88, 0.88, 0.86),
    "grey": (0.48, 0.49, 0.50),
    "black": (0.08, 0.08, 0.09),
    "brown": (0.38, 0.25, 0.16),
    "beige": (0.74, 0.65, 0.51),
}
_LEGS = {
    "jeans": (0.22, 0.31, 0.45),
    "dark jeans": (0.12, 0.16, 0.25),
    "black": (0.08, 0.08, 0.09),
    "grey": (0.38, 0.39, 0.41),
    "khaki": (0.60, 0.52, 0.38),
    "brown": (0.32, 0.22, 0.15),
    "white": (0.80, 0.79, 0.76),
    "wine": (0.38, 0.10, 0.15),
}
_SHOES = {
    "black": (0.06, 0.06, 0.07),
    "white": (0.85, 0.85, 0.84),
    "brown": (0.33, 0.21, 0.13),
    "red": (0.6, 0.14, 0.13),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Colours are sRGB 0..1. ``build`` scales widths: 0.85 slight, 1.25 heavy.

    ``walking_mps`` is the speed at ease, ``twin_of`` another person in the same clothes.
    """

    person_id: int
    height_m: float
    build: float
    walking_mps: float
    skin: Colour
    hair: Hair
    hair_colour: Colour
    top: Top
    top_name: str
    top_colour: Colour
    second_colour: Colour
    cloth: str
    long_sleeves: bool
    legs: Legs
    legs_name: str
    legs_colour: Colour
    shoes_colour: Colour
    bag: Bag
    bag_colour: Colour
    twin_of: int | None = None


def make_people(count: int, seed: int) -> tuple[Person, ...]:
    """``count`` people with ids from 1. Tops are of different colours as long as there are some
    left; of eight and more people, two may wear the same.
    """
    random = np.random.default_rng((seed, 101))
    tops = [name for _ in range(0, count, len(_TOPS)) for name in random.permutation(list(_TOPS))]
    people = [_person(k + 1, str(tops[k]), random) for k in range(count)]
    if count >= 8:
        people[-1] = _in_clothes_of(people[-1], people[0])
    return tuple(people)


def _person(person_id: int, top_name: str, random: np.random.Generator) -> Person:
    legs_name = _choice(random, _LEGS)
    top: Top = _weighted(random, _TOPWEAR, (0.62, 0.26, 0.12))
    plain = random.uniform() < 0.42
    return Person(
        person_id=person_id,
        height_m=float(np.clip(random.normal(1.71, 0.09), 1.50, 1.95)),
        build=float(np.clip(random.normal(1.0, 0.09), 0.84, 1.25)),
        walking_mps=float(random.uniform(1.0, 1.4)),
        skin=_SKINS[random.integers(len(_SKINS))],
        hair=_weighted(random, _HAIRCUTS, (0.42, 0.28, 0.1, 0.1, 0.1)),
        hair_colour=_HAIRS[random.integers(len(_HAIRS))],
        top=top,
        top_name=top_name,
        top_colour=_varied(_TOPS[top_name], random),
        second_colour=_varied(_TOPS[_choice(random, _TOPS)], random),
        cloth="zip" if top == "jacket" else "plain" if plain else _choice(random, CLOTH[1:7]),
        long_sleeves=bool(top != "shirt" or random.uniform() < 0.45),
        legs=_weighted(random, _LEGWEAR, (0.72, 0.13, 0.15)),
        legs_name=legs_name,
        legs_colour=_varied(_LEGS[legs_name], random),
        shoes_colour=_SHOES[_choice(random, _SHOES)],
        bag=_weighted(random, _BAGS, (0.5, 0.24, 0.14, 0.12)),
        bag_colour=_varied(_TOPS[_choice(random, _TOPS)], random),
    )


def _in_clothes_of(person: Person, other: Person) -> Person:
    return replace(
        person,
        top=other.top,
        top_name=other.top_name,
        top_colour=other.top_colour,
        second_colour=other.second_colour,
        cloth=other.cloth,
        long_sleeves=other.long_sleeves,
        twin_of=other.person_id,
    )


def _choice(random: np.random.Generator, names: "dict[str, Colour] | tuple[str, ...]") -> str:
    return str(random.choice(list(names)))


def _weighted(
    random: np.random.Generator, names: tuple[Name, ...], weights: Sequence[float]
) -> Name:
    return names[int(random.choice(len(names), p=weights))]


def _varied(colour: Colour, random: np.random.Generator) -> Colour:
    r, g, b = np.clip(np.array(colour) * random.uniform(0.88, 1.12, 3), 0, 1).tolist()
    return r, g, b

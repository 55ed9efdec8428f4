"""A person as triangles, each vertex fixed to one bone of ``gait.py``."""

from collections.abc import Iterator

from training import profiles
from training.gait import (
    CHEST,
    FOREARM,
    HEAD,
    L_ARM,
    L_FOOT,
    L_FOREARM,
    L_SHIN,
    L_THIGH,
    PELVIS,
    R_FOREARM,
    SHIN,
    THIGH,
    UPPER_ARM,
)
from training.meshes import Mesh, Paint, Ring, joined, tube
from training.people import CLOTH, Person
from training.profiles import Profile

# Patterns of shaders/people.frag beyond those of CLOTH.
_SKIN, _HAIR, _LEATHER = 10, 11, 12
_HEM = {"shirt": -0.035, "jacket": -0.055, "coat": -0.20}
_LOOSE_M = {"shirt": 0.004, "jacket": 0.016, "coat": 0.016}


def figure_mesh(person: Person, sides: int = 12) -> Mesh:
    """The whole body with clothes, hair and bag, in bone coordinates (metres)."""
    parts = (_body(person, sides), _limbs(person, sides), _head(person, sides), _bag(person))
    return joined(mesh for part in parts for mesh in part)


def shadow_mesh(person: Person) -> Mesh:
    """The same shape from few triangles."""
    parts = (_body(person, 6), _limbs(person, 5), _head(person, 6))
    return joined(mesh for part in parts for mesh in part)


def _rings(person: Person, profile: Profile, wide: float = 1.0, grow_m: float = 0.0) -> list[Ring]:
    """``profile`` in metres; widths times ``wide``, ``grow_m`` more but at closed ends."""
    h = person.height_m
    return [
        Ring(
            row[0] * h,
            row[1] * h * wide + (grow_m if row[1] else 0),
            row[2] * h * wide + (grow_m if row[2] else 0),
            *(v * h for v in row[3:]),
        )
        for row in profile
    ]


def _cloth(person: Person) -> Paint:
    return Paint(person.top_colour, person.second_colour, CLOTH.index(person.cloth))


def _skin(person: Person) -> Paint:
    return Paint(person.skin, material=_SKIN)


def _body(person: Person, sides: int) -> Iterator[Mesh]:
    loose = _LOOSE_M[person.top]
    chest = _rings(person, profiles.CHEST, person.build, loose)
    yield tube(chest, _cloth(person), bone=CHEST, sides=sides, roundness=2.3)
    hips = _rings(person, profiles.PELVIS, person.build, 0.004)
    yield tube(hips, Paint(person.legs_colour), bone=PELVIS, sides=sides, roundness=2.3)
    hem = _rings(person, _hanging(_HEM[person.top], 0.085), person.build, loose + 0.006)
    yield tube(hem, _cloth(person), bone=PELVIS, sides=sides, roundness=2.3)
    if person.legs == "skirt":
        skirt = _rings(person, _hanging(-0.19, 0.04), person.build, 0.012)
        yield tube(skirt, Paint(person.legs_colour), bone=PELVIS, sides=sides, roundness=2.3)


def _hanging(low: float, high: float) -> Profile:
    """A skirt around the hips, wider the longer it is."""
    wide = 1 + 0.9 * max(-low - 0.06, 0)
    return (
        (low, 0.0, 0.0),
        (low, 0.069 * wide, 0.090 * wide),
        (min(-0.01, low / 2), 0.067, 0.093),
        (0.04, 0.061, 0.086),
        (high, 0.055, 0.077),
        (high + 0.001, 0.0, 0.0),
    )


def _limbs(person: Person, sides: int) -> Iterator[Mesh]:
    for number in (0, 1):
        yield from _leg(person, number, sides)
        yield from _arm(person, number, sides)


def _leg(person: Person, number: int, sides: int) -> Iterator[Mesh]:
    cloth, h = Paint(person.legs_colour), person.height_m
    trousers = person.legs == "trousers"
    wide = 0.007 if trousers else 0.0
    paint = cloth if person.legs != "skirt" else _skin(person)
    thigh = _limb(person, profiles.THIGH, THIGH, wide)
    yield tube(thigh, paint, bone=L_THIGH + number, sides=sides)
    calf = _limb(person, profiles.CALF, SHIN, 1.8 * wide)
    paint = cloth if trousers else _skin(person)
    yield tube(calf, paint, bone=L_SHIN + number, sides=sides)
    shoe = [Ring(*(v * h for v in row)) for row in profiles.SHOE]
    leather = Paint(person.shoes_colour, material=_LEATHER)
    yield tube(shoe, leather, bone=L_FOOT + number, sides=sides)


def _arm(person: Person, number: int, sides: int) -> Iterator[Mesh]:
    has_front = person.cloth in {"print", "zip", "two-tone"}
    cloth = Paint(person.top_colour) if has_front else _cloth(person)
    lower = cloth if person.long_sleeves else _skin(person)
    loose = 0.006 if person.top == "shirt" else 0.012
    bone, low = L_ARM + number, L_FOREARM + number
    grow = 0.006 + loose if person.long_sleeves else 0.0
    sleeve = _limb(person, profiles.SLEEVE, UPPER_ARM, loose)
    yield tube(sleeve, cloth, bone=bone, sides=sides)
    upper = _limb(person, profiles.UPPER_ARM, UPPER_ARM, 0.7 * grow)
    yield tube(upper, lower, bone=bone, sides=sides)
    yield tube(_limb(person, profiles.FOREARM, FOREARM, grow), lower, bone=low, sides=sides)
    yield tube(_limb(person, profiles.HAND, FOREARM), _skin(person), bone=low, sides=sides)


def _limb(person: Person, profile: Profile, length: float, grow_m: float = 0.0) -> list[Ring]:
    """Round, hanging from its joint; rounded off at both ends."""
    thick = 0.35 + 0.65 * person.build
    rows = [(-share * length, r * thick, r * thick) for share, r in reversed(profile)]
    low, high = rows[0][0] - rows[0][1] * 0.5, rows[-1][0] + rows[-1][1] * 0.6
    return _rings(person, ((low, 0.0, 0.0), *rows, (high, 0.0, 0.0)), grow_m=grow_m)


def _head(person: Person, sides: int) -> Iterator[Mesh]:
    hair = Paint(person.hair_colour, material=_HAIR)
    pieces = [(profiles.NECK, _skin(person)), (profiles.SKULL, _skin(person))]
    if person.hair != "bald":
        pieces.append((profiles.HAIR_CROWN, hair))
    if person.hair == "long":
        pieces.append((profiles.HAIR_FALLING, hair))
    if person.hair == "bun":
        pieces.append((profiles.HAIR_KNOT, hair))
    if person.hair == "cap":
        pieces.append((profiles.CAP, Paint(person.bag_colour)))
    for profile, paint in pieces:
        yield tube(_rings(person, profile), paint, bone=HEAD, sides=sides)


def _bag(person: Person) -> Iterator[Mesh]:
    leather = Paint(person.bag_colour, material=_LEATHER)
    if person.bag == "backpack":
        pack = _rings(person, profiles.BACKPACK)
        yield tube(pack, leather, bone=CHEST, sides=14, roundness=4.0)
        right = tuple((*row[:4], -row[4]) for row in profiles.STRAP)
        for strap in (profiles.STRAP, right):
            yield tube(_rings(person, strap), leather, bone=CHEST, sides=6)
    if person.bag == "shoulder bag":
        bag = _rings(person, profiles.SHOULDER_BAG)
        yield tube(bag, leather, bone=PELVIS, sides=12, roundness=4.0)
    if person.bag == "handbag":
        bag = _rings(person, profiles.HANDBAG)
        yield tube(bag, leather, bone=R_FOREARM, sides=12, roundness=3.0)

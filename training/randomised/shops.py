"""Rooms as ``spoton simulate`` furnishes them, laid out anew, with people close to things.

What hides people there: shelves and counters in rows, partitions, plants, the picture's border
and other people. The layout follows from the seed; it is never the room of an environment.
"""

import numpy as np
import numpy.typing as npt

from training.gait import BONES, Motion, bone_matrices
from training.people import Person
from training.randomised.people import is_free
from training.room import Furniture, Room, Wall, outer_walls

Array = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

# Kind, metres long and metres deep (least, most), and how often it stands there.
_PIECES: tuple[tuple[str, tuple[float, float], tuple[float, float], float], ...] = (
    ("shelf", (1.5, 4.0), (0.4, 0.55), 0.36),
    ("counter", (1.5, 3.5), (0.55, 0.7), 0.12),
    ("table", (0.8, 1.6), (0.6, 0.9), 0.12),
    ("bench", (1.2, 2.4), (0.4, 0.5), 0.1),
    ("plant", (0.45, 0.6), (0.45, 0.6), 0.14),
    ("pillar", (0.3, 0.45), (0.3, 0.45), 0.1),
    ("bin", (0.3, 0.4), (0.3, 0.4), 0.06),
)
_LEAST_APART_M = 0.45


def random_shop(random: np.random.Generator) -> Room:
    """Shelves along the walls and in rows, partitions, and lamps over a floor."""
    bounds = (0.0, 0.0, float(random.uniform(7, 18)), float(random.uniform(6, 13)))
    height = float(random.uniform(2.8, 3.6))
    walls = (
        *outer_walls(bounds, (), height),
        *(_partition(bounds, height, random) for _ in range(random.integers(0, 4))),
    )
    pieces = [_piece(bounds, random) for _ in range(random.integers(6, 19))]
    pieces += [_plant(bounds, random) for _ in range(random.integers(2, 9))]
    lights = tuple(
        (bounds[2] * (fx + random.normal(0, 0.04)), bounds[3] * fy, height - 0.04)
        for fx in (0.25, 0.75)
        for fy in (0.27, 0.73)
    )
    return Room(bounds, walls, tuple(pieces), (), (), lights, int(random.integers(2)), height)


def crowd_bones(room: Room, people: tuple[Person, ...], random: np.random.Generator) -> Array:
    """(P, 13, 3, 4) of one moment: walking or standing, many beside furniture or each other; NaN
    for those who are not there.
    """
    bones = np.full((len(people), BONES, 3, 4), np.nan)
    present = random.permutation(len(people))[: random.integers(len(people) // 2, len(people) + 1)]
    places: list[Array] = []
    for k in present.tolist():
        place = _place(room, places, random)
        if place is None:
            continue
        places.append(place)
        speed = float(random.choice([0.0, random.uniform(0.3, 1.7)]))
        state = (random.uniform(-np.pi, np.pi), speed, random.uniform(0, 1), random.uniform(0, 60))
        motion = Motion(place[None], *(np.array([float(value)]) for value in state))
        bones[k] = bone_matrices(people[k], motion)[0]
    return bones


def _partition(bounds: Bounds, height: float, random: np.random.Generator) -> Wall:
    """A wall across a part of the room, from one of its long or short sides."""
    axis = int(random.integers(2))
    across = bounds[2 + axis] * float(random.uniform(0.25, 0.75))
    length = bounds[3 - axis] * float(random.uniform(0.15, 0.45))
    side = float(random.choice([0.0, bounds[3 - axis]]))
    ends = (side, abs(side - length))
    start, end = ((across, along) if axis == 0 else (along, across) for along in sorted(ends))
    return Wall(start, end, height)


def _piece(bounds: Bounds, random: np.random.Generator) -> Furniture:
    """Every second piece stands along a wall."""
    which = random.choice(len(_PIECES), p=[often for *_, often in _PIECES])
    kind, long, deep, _ = _PIECES[int(which)]
    size = np.array([random.uniform(*long), random.uniform(*deep)])
    if random.uniform() < 0.5:
        size = size[::-1]
    room = np.array(bounds[2:]) - size
    low = random.uniform(0.02, 0.98, 2) * room
    if random.uniform() < 0.5:
        short = int(size.argmin())
        low[short] = random.choice([0.05, room[short] - 0.05])
    (x0, y0), (x1, y1) = low.tolist(), (low + size).tolist()
    return Furniture(kind, (x0, y0), (x1, y1))


def _plant(bounds: Bounds, random: np.random.Generator) -> Furniture:
    """More plants than shops have: they are as tall as people, and hide them."""
    size = np.full(2, random.uniform(0.4, 0.65))
    room = np.array(bounds[2:]) - size
    low = random.uniform(0.02, 0.98, 2) * room
    if random.uniform() < 0.5:
        side = int(random.integers(2))
        low[side] = random.choice([0.1, room[side] - 0.1])
    (x0, y0), (x1, y1) = low.tolist(), (low + size).tolist()
    return Furniture("plant", (x0, y0), (x1, y1))


def _place(room: Room, places: list[Array], random: np.random.Generator) -> Array | None:
    """Position (2,) away from furniture and the others; None where none was found."""
    size = np.array(room.bounds_m[2:])
    for _ in range(60):
        place, kind = random.uniform(0.02, 0.98, 2) * size, random.uniform()
        if places and kind < 0.35:
            place = places[random.integers(len(places))] + random.normal(0, 0.55, 2)
        elif room.furniture and kind < 0.65:
            place = _beside(room.furniture[random.integers(len(room.furniture))], random)
        apart = all(np.hypot(*(place - other)) > _LEAST_APART_M for other in places)
        if apart and is_free(room, place):
            return np.asarray(place, np.float64)
    return None


def _beside(piece: Furniture, random: np.random.Generator) -> Array:
    """Within a step of its edges, or on it."""
    low, high = np.array(piece.low_m) - 0.6, np.array(piece.high_m) + 0.6
    return np.asarray(random.uniform(low, high), np.float64)

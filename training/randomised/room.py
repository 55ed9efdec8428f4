"""Made-up rooms: any size, any colours, furniture and clutter anywhere."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from training.meshes import Colour, Mesh, Paint, Ring, box, joined, panel, tube
from training.room import Furniture, Room, outer_walls
from training.scenery import room_mesh

LIKENESS = 13
# Patterns of shaders/room.frag that make sense on any surface; 7 is plain.
_PATTERNS = (1, 2, 5, 6, 7, 7, 7, 11, 12, 12)
_KINDS = ("counter", "shelf", "bench", "table", "pillar", "bin", "plant")


def random_room(random: np.random.Generator) -> tuple[Room, Mesh]:
    """A room and everything in it that does not move."""
    width, depth = random.uniform(4.5, 22), random.uniform(4.5, 16)
    height = float(random.uniform(2.5, 5.2))
    bounds = (0.0, 0.0, float(width), float(depth))
    pieces = tuple(_furniture(bounds, random) for _ in range(random.integers(0, 13)))
    walls = tuple(w for w in outer_walls(bounds, (), height) if random.uniform() < 0.93)
    lights = tuple(_light(bounds, height, random) for _ in range(4))
    room = Room(bounds, walls, pieces, (), (), lights, int(random.integers(2)), height)
    return room, joined([_repainted(room_mesh(room), random), *_clutter(room, random)])


def random_colour(random: np.random.Generator) -> Colour:
    """Half of them greyish, as most things are."""
    value, tint = random.uniform(0.04, 0.95), random.uniform(-1, 1, 3)
    strength = random.choice([0.05, 0.45])
    r, g, b = np.clip(value + strength * tint, 0.02, 0.98).tolist()
    return r, g, b


def random_paint(random: np.random.Generator) -> Paint:
    """Two colours and any pattern."""
    pattern = int(random.choice(_PATTERNS))
    return Paint(random_colour(random), random_colour(random), pattern)


def _light(
    bounds: tuple[float, float, float, float], height: float, random: np.random.Generator
) -> tuple[float, float, float]:
    x, y = random.uniform(0.05, 0.95, 2) * bounds[2:]
    return float(x), float(y), height - 0.05


def _furniture(bounds: tuple[float, float, float, float], random: np.random.Generator) -> Furniture:
    kind = str(random.choice(_KINDS))
    long = 0.9 if kind in {"plant", "pillar", "bin"} else 3.2
    size = random.uniform(0.3, 0.8, 2)
    size[random.integers(2)] = random.uniform(0.3, long)
    low = random.uniform(0, 1, 2) * (np.array(bounds[2:]) - size)
    (x0, y0), (x1, y1) = low.tolist(), (low + size).tolist()
    return Furniture(kind, (x0, y0), (x1, y1))


def _repainted(mesh: Mesh, random: np.random.Generator) -> Mesh:
    """The same shapes; each of its paints becomes another with some probability."""
    vertices = mesh.vertices.copy()
    paints, owner = np.unique(vertices[:, 8:15], axis=0, return_inverse=True)
    for k, old in enumerate(paints):
        if old[6] == 9 or random.uniform() < 0.2:  # lamps stay lamps
            continue
        new = random_paint(random)
        keeps = random.uniform() < 0.4
        paints[k] = (*new.colour, *new.second, old[6] if keeps else new.material)
    vertices[:, 8:15] = paints[owner.ravel()]
    return Mesh(vertices, mesh.triangles)


def _clutter(room: Room, random: np.random.Generator) -> Iterator[Mesh]:
    for make, most in ((_desk, 9), (_block, 9), (_pole, 7), (_hanging, 5), (_sign, 14)):
        for _ in range(random.integers(0, most)):
            yield make(room, random)


def _place(room: Room, random: np.random.Generator) -> npt.NDArray[np.float64]:
    return np.asarray(random.uniform(0.02, 0.95, 2) * room.bounds_m[2:])


def _desk(room: Room, random: np.random.Generator) -> Mesh:
    """Top, legs or drawers, a screen or two, and a chair."""
    x, y = _place(room, random).tolist()
    w, d = float(random.uniform(0.9, 2.2)), float(random.uniform(0.5, 0.9))
    top, dark, cloth = (random_paint(random) for _ in range(3))
    parts = [box((x, y, 0.70), (x + w, y + d, 0.74), top)]
    parts += [box((x + u, y + 0.05, 0), (x + u + 0.06, y + d - 0.05, 0.7), dark) for u in (0, w)]
    for _ in range(random.integers(0, 3)):
        u, wide = float(random.uniform(0.0, w - 0.3)), float(random.uniform(0.3, 0.6))
        low = (x + u, y + 0.15, 0.8)
        parts.append(box(low, (x + u + wide, y + 0.19, 0.8 + 0.6 * wide), dark))
    cx, cy, back = x + w / 2, y + d + 0.25, float(random.uniform(0.8, 1.2))
    parts += [
        box((cx - 0.23, cy - 0.23, 0.42), (cx + 0.23, cy + 0.23, 0.5), cloth),
        box((cx - 0.22, cy + 0.2, 0.5), (cx + 0.22, cy + 0.27, back), cloth),
        box((cx - 0.04, cy - 0.04, 0.0), (cx + 0.04, cy + 0.04, 0.42), dark),
    ]
    return joined(parts)


def _block(room: Room, random: np.random.Generator) -> Mesh:
    """A cupboard, a machine, a parcel; often of a person's size."""
    x, y = _place(room, random).tolist()
    w, d = random.uniform(0.15, 1.0, 2).tolist()
    paint = random_paint(random)
    return box((x, y, 0), (x + w, y + d, float(random.uniform(0.3, 2.2))), paint)


def _pole(room: Room, random: np.random.Generator) -> Mesh:
    """Round things: barrels, poles, coats on a stand, mannequins without limbs."""
    tall, wide = random.uniform(0.6, 2.1), random.uniform(0.05, 0.3)
    count = int(random.integers(2, 6))
    heights = np.sort(random.uniform(0, tall, count)).tolist()
    rings = [Ring(0.0, 0.0, 0.0), Ring(0.001, wide, wide)]
    rings += [Ring(z + 0.002, *(wide * random.uniform(0.3, 1.3, 2)).tolist()) for z in heights]
    rings.append(Ring(tall + 0.01, 0.0, 0.0))
    place = np.column_stack([np.eye(3), [*_place(room, random), 0.0]])
    return tube(rings, random_paint(random), sides=14).transformed(place)


def _hanging(room: Room, random: np.random.Generator) -> Mesh:
    """Ducts, lamps, banners under the ceiling."""
    x, y = _place(room, random).tolist()
    w, d, h = (random.uniform(0.1, 1.0, 3) * (3.0, 0.7, 0.9)).tolist()
    top = room.ceiling_m - float(random.uniform(0.0, 0.4))
    return box((x, y, max(top - h, 2.1)), (x + w, y + d, top), random_paint(random))


def _sign(room: Room, random: np.random.Generator) -> Mesh:
    """Windows, doors, boards and posters, some with people on them, flat on a wall."""
    _, _, width, depth = room.bounds_m
    along, gap = random.uniform(0.05, 0.85), 0.02
    w, h = random.uniform(0.3, 2.4), random.uniform(0.4, 1.9)
    z = random.uniform(0.0, max(0.1, room.ceiling_m - h))
    corner, across = (
        ((along * width, depth - gap, z), (w, 0, 0)),
        ((along * width + w, gap, z), (-w, 0, 0)),
        ((gap, along * depth, z), (0, w, 0)),
        ((width - gap, along * depth + w, z), (0, -w, 0)),
    )[random.integers(4)]
    paint = random_paint(random)
    if random.uniform() < 0.3:
        paint = Paint(paint.colour, paint.second, LIKENESS)
    return panel(corner, across, (0, 0, h), paint)

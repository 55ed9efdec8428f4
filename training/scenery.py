"""A room as triangles: floor, walls, ceiling and the furniture that hides people."""

from collections.abc import Callable

import numpy as np

from training.meshes import Mesh, Paint, Ring, box, joined, panel, tube
from training.room import Furniture, Room, Wall

# Patterns of the room's surfaces; the numbers are those of shaders/room.frag.
FLOOR_TILES, FLOOR_PLANKS, WALL, CEILING, GOODS, WOOD, METAL, LEAVES, LAMP, GLASS = range(1, 11)

_WALL_PAINT = Paint((0.78, 0.76, 0.72), (0.52, 0.55, 0.56), WALL)
_OAK = Paint((0.55, 0.40, 0.27), (0.40, 0.28, 0.18), WOOD)
_DARK = Paint((0.20, 0.21, 0.23), (0.14, 0.15, 0.16), METAL)
_WHITE = Paint((0.80, 0.80, 0.79), (0.7, 0.7, 0.7), METAL)


def room_mesh(room: Room) -> Mesh:
    """Everything that does not move, in map coordinates."""
    parts = [_floor(room), _ceiling(room), *(_wall(wall) for wall in room.walls)]
    parts += [_FURNITURE[piece.kind](piece) for piece in room.furniture]
    parts += [_lamp(x, y, z) for x, y, z in room.lights_m]
    return joined(parts)


def _floor(room: Room) -> Mesh:
    x0, y0, x1, y1 = room.bounds_m
    margin = 3.0
    colours = ((0.66, 0.64, 0.60), (0.57, 0.55, 0.52)), ((0.58, 0.48, 0.38), (0.49, 0.39, 0.30))
    paint = Paint(*colours[room.floor], FLOOR_TILES + room.floor)
    width, depth = x1 - x0 + 2 * margin, y1 - y0 + 2 * margin
    return panel((x0 - margin, y0 - margin, 0), (width, 0, 0), (0, depth, 0), paint)


def _ceiling(room: Room) -> Mesh:
    x0, y0, x1, y1 = room.bounds_m
    corner = (x0 - 3, y1 + 3, room.ceiling_m)
    paint = Paint((0.84, 0.84, 0.82), (0.66, 0.66, 0.65), CEILING)
    return panel(corner, (x1 - x0 + 6, 0, 0), (0, -(y1 - y0 + 6), 0), paint)


def _lamp(x: float, y: float, z: float) -> Mesh:
    paint = Paint((1.0, 0.99, 0.96), (1.0, 1.0, 1.0), LAMP)
    return box((x - 0.6, y - 0.3, z), (x + 0.6, y + 0.3, z + 0.03), paint)


def _wall(wall: Wall) -> Mesh:
    (ax, ay), (bx, by) = wall.start_m, wall.end_m
    half = wall.thickness_m / 2
    low = (min(ax, bx) - half * (ax == bx), min(ay, by) - half * (ay == by), 0.0)
    high = (max(ax, bx) + half * (ax == bx), max(ay, by) + half * (ay == by), wall.height_m)
    return box(low, high, _WALL_PAINT)


def _counter(piece: Furniture) -> Mesh:
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    screen_x = x0 + 0.7 * (x1 - x0)
    return joined(
        [
            box((x0, y0, 0), (x1, y1, 1.0), Paint((0.24, 0.37, 0.42), (0.19, 0.30, 0.35), WOOD)),
            box((x0 - 0.05, y0 - 0.08, 1.0), (x1 + 0.05, y1 + 0.05, 1.05), _OAK),
            box((screen_x, y0 + 0.25, 1.05), (screen_x + 0.45, y0 + 0.3, 1.4), _DARK),
        ]
    )


def _shelf(piece: Furniture) -> Mesh:
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    goods = Paint((0.55, 0.50, 0.45), (0.2, 0.2, 0.2), GOODS)
    levels = np.arange(0.1, 1.5, 0.36)
    boards = [box((x0, y0, z - 0.03), (x1, y1, z), _WHITE) for z in (*levels.tolist(), 1.56)]
    inner = [
        box((x0 + 0.05, y0 + 0.05, z), (x1 - 0.05, y1 - 0.05, z + 0.29), goods)
        for z in levels.tolist()
    ]
    ends = [
        box((x0 - 0.02, y0, 0), (x0 + 0.02, y1, 1.62), _WHITE),
        box((x1 - 0.02, y0, 0), (x1 + 0.02, y1, 1.62), _WHITE),
    ]
    return joined([*boards, *inner, *ends])


def _bench(piece: Furniture) -> Mesh:
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    legs = [
        box((x, y, 0), (x + 0.06, y + 0.06, 0.42), _DARK)
        for x in (x0 + 0.03, x1 - 0.09)
        for y in (y0 + 0.03, y1 - 0.09)
    ]
    return joined([box((x0, y0, 0.42), (x1, y1, 0.48), _OAK), *legs])


def _table(piece: Furniture) -> Mesh:
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    goods = Paint((0.7, 0.55, 0.4), (0.2, 0.2, 0.2), GOODS)
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    return joined(
        [
            box((x0, y0, 0.72), (x1, y1, 0.76), _OAK),
            box((x0 + 0.1, y0 + 0.1, 0), (x1 - 0.1, y1 - 0.1, 0.72), _WHITE),
            box(
                (middle[0] - 0.3, middle[1] - 0.15, 0.76),
                (middle[0] + 0.3, middle[1] + 0.15, 0.98),
                goods,
            ),
        ]
    )


def _pillar(piece: Furniture) -> Mesh:
    return box(
        (*piece.low_m, 0.0), (*piece.high_m, 4.0), Paint((0.74, 0.73, 0.70), (0.5, 0.5, 0.5), METAL)
    )


def _bin(piece: Furniture) -> Mesh:
    return _upright(piece, [(0.0, 0.9), (0.6, 1.0), (0.62, 1.0), (0.62, 0.0)], _DARK)


def _plant(piece: Furniture) -> Mesh:
    pot = _upright(
        piece,
        [(0, 0.0), (0.0, 0.6), (0.36, 0.85), (0.36, 0.0)],
        Paint((0.42, 0.36, 0.33), material=METAL),
    )
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    random = np.random.default_rng(abs(round(1000 * (x + 7 * y))))
    return joined([pot, *(_leaf(x, y, random) for _ in range(46))])


def _leaf(x: float, y: float, random: np.random.Generator) -> Mesh:
    turn, tilt = random.uniform(0, 2 * np.pi), random.uniform(0.15, 1.1)
    base = np.array([x, y, random.uniform(0.35, 0.9)])
    out = np.array([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)])
    across = np.array([-np.sin(turn), np.cos(turn), 0.0]) * random.uniform(0.07, 0.13)
    green = random.uniform(0.8, 1.2)
    paint = Paint((0.16 * green, 0.34 * green, 0.14 * green), (0.22, 0.4, 0.18), LEAVES)
    length = random.uniform(0.35, 0.6)
    return panel(
        (base - across / 2 + out * 0.05).tolist(), across.tolist(), (out * length).tolist(), paint
    )


def _upright(piece: Furniture, outline: list[tuple[float, float]], paint: Paint) -> Mesh:
    (x0, y0), (x1, y1) = piece.low_m, piece.high_m
    rx, ry = (x1 - x0) / 2, (y1 - y0) / 2
    rings = [Ring(z, rx * share, ry * share) for z, share in outline]
    place = np.column_stack([np.eye(3), [x0 + rx, y0 + ry, 0.0]])
    return tube(rings, paint, sides=20).transformed(place)


_FURNITURE: dict[str, Callable[[Furniture], Mesh]] = {
    "counter": _counter,
    "shelf": _shelf,
    "bench": _bench,
    "table": _table,
    "pillar": _pillar,
    "bin": _bin,
    "plant": _plant,
}

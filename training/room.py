"""What a room consists of, in metres on the map; where things stand, not how they look."""

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wall:
    """A straight upright wall of ``thickness_m`` from ``start_m`` to ``end_m`` (axis-aligned)."""

    start_m: Point
    end_m: Point
    height_m: float = 3.0
    thickness_m: float = 0.12


@dataclass(frozen=True, slots=True)
class Furniture:
    """``kind`` is one of counter, shelf, bench, plant, pillar, table, bin; it fills the rectangle
    ``low_m`` to ``high_m`` of the floor.
    """

    kind: str
    low_m: Point
    high_m: Point


@dataclass(frozen=True, slots=True)
class Door:
    """An opening in an outer wall. ``inside_m`` is a step into the room, ``threshold_m`` in the
    opening, ``outside_m`` where nobody is seen any more.
    """

    inside_m: Point
    threshold_m: Point
    outside_m: Point
    width_m: float = 1.4


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where people like to stand, looking towards ``facing_m``; ``room_for`` at a time."""

    position_m: Point
    facing_m: Point
    room_for: int = 1


@dataclass(frozen=True, slots=True)
class Room:
    """``bounds_m`` is x0, y0, x1, y1 of the inner floor. ``floor``, ``wall`` choose a look."""

    bounds_m: tuple[float, float, float, float]
    walls: tuple[Wall, ...]
    furniture: tuple[Furniture, ...]
    doors: tuple[Door, ...]
    spots: tuple[Spot, ...]
    lights_m: tuple[tuple[float, float, float], ...]
    floor: int = 0
    ceiling_m: float = 3.0


def outer_walls(
    bounds_m: tuple[float, float, float, float], doors: tuple[Door, ...], height_m: float = 3.0
) -> tuple[Wall, ...]:
    """The four sides with openings for ``doors``; each wall stands outside of the bounds."""
    x0, y0, x1, y1 = bounds_m
    d = 0.06
    sides = (
        ((x0 - d, y0 - d), (x1 + d, y0 - d)),
        ((x1 + d, y0 - d), (x1 + d, y1 + d)),
        ((x0 - d, y1 + d), (x1 + d, y1 + d)),
        ((x0 - d, y0 - d), (x0 - d, y1 + d)),
    )
    return tuple(
        Wall(start, end, height_m) for side in sides for start, end in _with_openings(side, doors)
    )


def corridor_walls(door: Door, height_m: float = 3.0) -> tuple[Wall, ...]:
    """A passage outside of the wall, from the opening along the wall to ``outside_m``, that hides
    people before they vanish.
    """
    (tx, ty), (ox, oy) = door.threshold_m, door.outside_m
    half = door.width_m / 2
    along_x = abs(tx - door.inside_m[0]) < abs(ty - door.inside_m[1])
    if not along_x:
        inside, threshold, outside = (
            (y, x) for x, y in (door.inside_m, door.threshold_m, door.outside_m)
        )
        walls = corridor_walls(Door(inside, threshold, outside, door.width_m), height_m)
        return tuple(
            Wall((w.start_m[1], w.start_m[0]), (w.end_m[1], w.end_m[0]), height_m) for w in walls
        )
    out, side = (1.0 if oy > ty else -1.0), (1.0 if ox > tx else -1.0)
    far_y, near_x, far_x = ty + out * 1.8, tx - side * (half + 0.3), ox + side * 0.8
    return (
        Wall((near_x, far_y), (far_x, far_y), height_m),
        Wall((near_x, ty), (near_x, far_y), height_m),
        Wall((far_x, ty), (far_x, far_y), height_m),
    )


def _with_openings(side: tuple[Point, Point], doors: tuple[Door, ...]) -> list[tuple[Point, Point]]:
    axis = 0 if side[0][1] == side[1][1] else 1
    fixed = side[0][1 - axis]
    gaps = sorted(
        (door.threshold_m[axis] - door.width_m / 2, door.threshold_m[axis] + door.width_m / 2)
        for door in doors
        if abs(door.threshold_m[1 - axis] - fixed) < 0.2
    )
    edges = [side[0][axis], *(edge for gap in gaps for edge in gap), side[1][axis]]
    points = [(edge, fixed) if axis == 0 else (fixed, edge) for edge in edges]
    return list(zip(points[::2], points[1::2], strict=True))

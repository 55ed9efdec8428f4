"""The shop of the ``demo`` environment, and a plain hall for environments whose room is unknown."""

import numpy as np

from homography.environment import Environment
from training.room import Door, Furniture, Room, Spot, Wall, corridor_walls, outer_walls

_DEMO_DOORS = (
    Door((3.0, 0.9), (3.0, -0.06), (5.4, -1.0), 2.0),
    Door((13.1, 2.1), (14.06, 2.1), (15.0, 4.2), 1.3),
    Door((12.6, 9.1), (12.6, 10.06), (10.4, 11.0), 1.3),
)
_DEMO_FURNITURE = (
    Furniture("counter", (0.9, 7.7), (4.1, 8.3)),
    Furniture("shelf", (7.6, 6.5), (10.8, 7.0)),
    Furniture("shelf", (8.2, 8.55), (10.8, 9.05)),
    Furniture("shelf", (13.55, 5.0), (14.0, 8.0)),
    Furniture("bench", (0.15, 3.0), (0.6, 5.2)),
    Furniture("bench", (6.4, 0.15), (8.2, 0.6)),
    Furniture("plant", (0.2, 5.6), (0.75, 6.15)),
    Furniture("plant", (8.55, 0.2), (9.1, 0.75)),
    Furniture("plant", (5.75, 5.3), (6.25, 5.8)),
    Furniture("plant", (13.35, 3.2), (13.85, 3.7)),
    Furniture("pillar", (6.85, 3.35), (7.2, 3.7)),
    Furniture("table", (10.9, 4.2), (12.3, 5.0)),
    Furniture("table", (3.2, 4.3), (4.2, 5.0)),
    Furniture("bin", (4.6, 0.1), (4.95, 0.45)),
    Furniture("shelf", (11.3, 0.0), (13.2, 0.4)),
)
_DEMO_SPOTS = (
    Spot((1.5, 7.1), (1.5, 8.0)),
    Spot((2.6, 7.1), (2.6, 8.0)),
    Spot((3.7, 7.1), (3.7, 8.0)),
    Spot((2.5, 9.0), (2.5, 8.0)),
    Spot((8.2, 6.0), (8.2, 6.8)),
    Spot((9.6, 6.0), (9.6, 6.8)),
    Spot((8.6, 7.6), (8.6, 6.8)),
    Spot((10.0, 7.9), (10.0, 8.8)),
    Spot((12.95, 6.5), (14.0, 6.5)),
    Spot((12.9, 7.5), (14.0, 7.5)),
    Spot((11.2, 5.5), (11.5, 4.6)),
    Spot((11.9, 3.7), (11.6, 4.6)),
    Spot((2.7, 4.7), (3.7, 4.7)),
    Spot((4.7, 4.6), (3.7, 4.7)),
    Spot((1.1, 4.1), (3.0, 4.1)),
    Spot((6.9, 1.1), (6.9, 4.0)),
    Spot((2.0, 2.3), (4.0, 4.0), 3),
    Spot((6.0, 2.4), (5.0, 5.0), 4),
    Spot((8.4, 4.6), (6.0, 4.6), 3),
    Spot((11.6, 1.5), (13.0, 2.0), 2),
    Spot((10.2, 0.8), (9.5, 0.8)),
    Spot((12.4, 0.9), (12.4, 0.0)),
    Spot((12.6, 2.4), (12.6, 3.0)),
    Spot((2.4, 6.0), (2.6, 8.0), 2),
)
_DEMO_LIGHTS = ((3.0, 2.6, 2.96), (3.0, 7.2, 2.96), (8.6, 2.8, 2.96), (10.4, 7.4, 2.96))


def room_for(environment: Environment) -> Room:
    """The shop for ``demo``; for anything else a hall that has all its cameras inside."""
    if environment.environment_id == "demo":
        return demo_room()
    centres = [camera.ground_plane.camera_centre_m for camera in environment.cameras]
    points = np.array([centre for centre in centres if centre is not None]).reshape(-1, 3)
    x0, y0, x1, y1 = environment.map_bounds_m
    around = np.concatenate([points, [(x0 + 0.5, y0 + 0.5, 3.1), (x1 - 0.5, y1 - 0.5, 3.1)]])
    (ax, ay, _), (bx, by, height) = (around.min(0) - 0.5).tolist(), (around.max(0) + 0.5).tolist()
    return hall((ax, ay, bx, by), height)


def demo_room() -> Room:
    """A shop of 14 m x 10 m; hardly any camera sees into its south-east room."""
    bounds = (0.0, 0.0, 14.0, 10.0)
    walls = (
        *outer_walls(bounds, _DEMO_DOORS),
        *(wall for door in _DEMO_DOORS for wall in corridor_walls(door)),
        Wall((5.5, 6.3), (5.5, 10.0)),
        Wall((9.5, 0.0), (9.5, 3.0)),
        Wall((10.9, 3.0), (14.0, 3.0)),
    )
    return Room(bounds, walls, _DEMO_FURNITURE, _DEMO_DOORS, _DEMO_SPOTS, _DEMO_LIGHTS)


def hall(bounds_m: tuple[float, float, float, float], height: float = 3.6) -> Room:
    """Walls around ``bounds_m`` with a door in each long side; pillars, a bench and plants."""
    x0, y0, x1, y1 = bounds_m
    left, right = x0 + (x1 - x0) * 0.3, x0 + (x1 - x0) * 0.7
    doors = (
        Door((left, y0 + 0.9), (left, y0 - 0.06), (left + 2.2, y0 - 1.0)),
        Door((right, y1 - 0.9), (right, y1 + 0.06), (right - 2.2, y1 + 1.0)),
    )
    walls = (
        *outer_walls(bounds_m, doors, height),
        *(wall for door in doors for wall in corridor_walls(door, height)),
    )
    lights = tuple(
        (x0 + (x1 - x0) * fx, y0 + (y1 - y0) * fy, height - 0.04)
        for fx in (0.25, 0.75)
        for fy in (0.25, 0.75)
    )
    return Room(
        bounds_m,
        walls,
        _hall_furniture(bounds_m),
        doors,
        _hall_spots(bounds_m),
        lights,
        floor=1,
        ceiling_m=height,
    )


def _hall_furniture(bounds_m: tuple[float, float, float, float]) -> tuple[Furniture, ...]:
    x0, y0, x1, y1 = bounds_m
    middle_y = (y0 + y1) / 2
    pieces = [
        Furniture("bench", (x0 + 0.2, middle_y - 1.0), (x0 + 0.65, middle_y + 1.0)),
        Furniture("plant", (x1 - 0.8, y0 + 0.3), (x1 - 0.3, y0 + 0.8)),
        Furniture("plant", (x0 + 0.3, y1 - 0.8), (x0 + 0.8, y1 - 0.3)),
    ]
    if min(x1 - x0, y1 - y0) > 5:
        pieces += [
            Furniture("pillar", (x - 0.2, middle_y - 0.2), (x + 0.2, middle_y + 0.2))
            for x in np.linspace(x0, x1, 4)[1:3].tolist()
        ]
    return tuple(pieces)


def _hall_spots(bounds_m: tuple[float, float, float, float]) -> tuple[Spot, ...]:
    x0, y0, x1, y1 = bounds_m
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    return tuple(
        Spot((x, y), middle, 1 + (i + j) % 3)
        for i, x in enumerate(np.linspace(x0, x1, 6)[1:5].tolist())
        for j, y in enumerate((y0 + 0.3 * (y1 - y0), y0 + 0.72 * (y1 - y0)))
    )

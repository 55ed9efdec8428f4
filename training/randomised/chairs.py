"""Swivel chairs: as wide as people, with a head, arms and legs of their own, and not people."""

import numpy as np
import numpy.typing as npt

from training.meshes import Mesh, Paint, Ring, box, joined, tube
from training.randomised.room import random_paint
from training.room import Room
from training.transforms import yaw


def random_chairs(room: Room, random: np.random.Generator) -> list[Mesh]:
    """Up to twelve, anywhere on the floor and turned anyhow, most of them dark."""
    size = np.array(room.bounds_m[2:])
    return [
        _chair(random.uniform(0.04, 0.96, 2) * size, random) for _ in range(random.integers(0, 13))
    ]


def _chair(position_m: npt.NDArray[np.float64], random: np.random.Generator) -> Mesh:
    paint, seat = _paint(random), float(random.uniform(0.4, 0.55))
    half, back = random.uniform(0.2, 0.27, 2).tolist()
    top = seat + float(random.uniform(0.4, 0.65))
    parts = [
        _cushion(half, half, seat, seat + 0.09, paint),
        box((-half - 0.05, -0.03, seat + 0.08), (-half, 0.03, top - 0.2), paint),
        _upright_cushion(-half - 0.05, back, top - 0.38, top, paint),
        box((-0.03, -0.03, 0.06), (0.03, 0.03, seat), paint),
    ]
    parts += [_leg(angle, paint) for angle in np.arange(5) * 2 * np.pi / 5]
    if random.uniform() < 0.7:
        for side in (-half - 0.04, half):
            parts.append(box((-0.16, side, seat + 0.2), (0.14, side + 0.05, seat + 0.24), paint))
            parts.append(box((-0.03, side, seat), (0.02, side + 0.03, seat + 0.2), paint))
    place = yaw(random.uniform(-np.pi, np.pi) * np.ones(1))[0]
    place[:2, 3] = position_m
    return joined(parts).transformed(place[:3])


def _paint(random: np.random.Generator) -> Paint:
    if random.uniform() < 0.3:
        return random_paint(random)
    shade = float(random.uniform(0.04, 0.2))
    return Paint((shade, shade, 1.15 * shade), (shade, shade, shade), 7)


def _cushion(x: float, y: float, low: float, high: float, paint: Paint) -> Mesh:
    rings = [Ring(low, 0, 0), Ring(low + 0.001, 0.9 * x, 0.9 * y), Ring((low + high) / 2, x, y)]
    rings += [Ring(high, 0.9 * x, 0.9 * y), Ring(high + 0.001, 0, 0)]
    return tube(rings, paint, sides=14)


def _upright_cushion(x: float, half: float, low: float, high: float, paint: Paint) -> Mesh:
    """Rounded, 0.08 m thick, in the plane across x."""
    middle, tall = (low + high) / 2, (high - low) / 2
    flat = _cushion(tall, half, -0.04, 0.04, paint)
    onto = np.array([[0, 0, 1.0, x], [0, 1.0, 0, 0], [-1.0, 0, 0, middle]])
    return flat.transformed(onto)


def _leg(angle: float, paint: Paint) -> Mesh:
    turn = yaw(float(angle) * np.ones(1))[0]
    return box((0.0, -0.025, 0.02), (0.3, 0.025, 0.07), paint).transformed(turn[:3])

"""People in any clothes and any pose, anywhere on the floor."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.gait import (
    ANKLE,
    BONES,
    CHEST,
    HEAD,
    HIP,
    HIP_HALF,
    L_ARM,
    L_FOOT,
    L_FOREARM,
    L_SHIN,
    L_THIGH,
    NECK,
    PELVIS,
    SHIN,
    SHOULDER,
    SHOULDER_HALF,
    THIGH,
    UPPER_ARM,
    WAIST,
    Motion,
    bone_matrices,
)
from training.people import CLOTH, Person, make_people
from training.randomised.room import random_colour
from training.room import Room
from training.transforms import moved, pitch, roll, yaw

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Forward angles in rad of what hangs down, left and right: ``arms``, ``elbows``, ``thighs``,
    ``knees``; ``spread`` of the arms to the side; ``lean`` forward of the upper body.
    """

    arms: tuple[float, float]
    elbows: tuple[float, float]
    spread: tuple[float, float]
    thighs: tuple[float, float]
    knees: tuple[float, float]
    lean: float


def random_people(count: int, random: np.random.Generator) -> tuple[Person, ...]:
    """As ``make_people``, but of more sizes and in clothes of any colours."""
    people = make_people(count, int(random.integers(1 << 31)))
    return tuple(_varied(person, random) for person in people)


def random_bones(room: Room, people: tuple[Person, ...], random: np.random.Generator) -> Array:
    """(P, 13, 3, 4) of one moment; NaN for those who are not there."""
    bones = np.full((len(people), BONES, 3, 4), np.nan)
    present = random.permutation(len(people))[: random.integers(len(people) // 4, len(people) + 1)]
    places = _places(room, len(present), random)
    for k, place in zip(present.tolist(), places, strict=True):
        bones[k] = _bones(people[k], place, random)
    return bones


def posed(person: Person, position_m: Array, heading_rad: float, pose: Pose) -> Array:
    """(13, 3, 4): the figure in ``pose`` with its lower foot on the floor."""
    h, one = person.height_m, np.ones(1)
    root = yaw(heading_rad * one)
    root[:, :2, 3] = position_m
    hips = root @ moved(1, z=_hip_height(h, pose))
    bones = np.zeros((BONES, 4, 4))
    chest = hips @ moved(1, z=(WAIST - HIP) * h) @ pitch(-pose.lean * one)
    bones[PELVIS], bones[CHEST] = hips[0], chest[0]
    bones[HEAD] = (chest @ moved(1, z=(NECK - WAIST) * h) @ pitch(0.6 * pose.lean * one))[0]
    for number, side in ((0, 1.0), (1, -1.0)):
        out = side * pose.spread[number]
        upper = chest @ moved(1, y=side * _shoulder_m(person), z=(SHOULDER - WAIST) * h)
        upper = upper @ roll(out * one) @ pitch(pose.arms[number] * one)
        lower = upper @ moved(1, z=-UPPER_ARM * h) @ pitch(pose.elbows[number] * one)
        bones[L_ARM + number], bones[L_FOREARM + number] = upper[0], lower[0]
        thigh = hips @ moved(1, y=side * HIP_HALF * h * person.build)
        thigh = thigh @ pitch(pose.thighs[number] * one)
        shin = thigh @ moved(1, z=-THIGH * h) @ pitch(-pose.knees[number] * one)
        foot = shin @ moved(1, z=-SHIN * h)
        level = pose.knees[number] - pose.thighs[number]
        bones[L_THIGH + number], bones[L_SHIN + number] = thigh[0], shin[0]
        bones[L_FOOT + number] = (foot @ pitch(level * one))[0]
    return bones[:, :3]


def _shoulder_m(person: Person) -> float:
    return SHOULDER_HALF * person.height_m * (0.55 + 0.45 * person.build)


def _hip_height(height: float, pose: Pose) -> float:
    legs = zip(pose.thighs, pose.knees, strict=True)
    reach = [THIGH * np.cos(thigh) + SHIN * np.cos(thigh - knee) for thigh, knee in legs]
    return float(height * (max(reach) + ANKLE))


def _bones(person: Person, position_m: Array, random: np.random.Generator) -> Array:
    heading = float(random.uniform(-np.pi, np.pi))
    if random.uniform() < 0.55:
        speed = random.choice([0.0, random.uniform(0.3, 1.8)])
        values = (heading, speed, random.uniform(0, 1), random.uniform(0, 60))
        motion = Motion(position_m[None], *(np.array([float(v)]) for v in values))
        return np.asarray(bone_matrices(person, motion)[0])
    return posed(person, position_m, heading, _pose(random))


def _pose(random: np.random.Generator) -> Pose:
    """Standing and doing something with the arms, sitting, or bending down."""
    arms = random.uniform(-0.5, 1.2, 2) + (random.uniform(size=2) < 0.15) * 1.4
    upper = (arms, random.uniform(0.0, 2.2, 2), random.uniform(0.03, 0.5, 2))
    thighs, knees, lean = random.uniform(-0.15, 0.25, 2), random.uniform(0.0, 0.3, 2), 0.05
    kind = random.uniform()
    if kind < 0.22:
        thighs, knees = random.uniform(1.25, 1.6, 2), random.uniform(1.2, 1.8, 2)
        lean = float(random.uniform(-0.15, 0.4))
    elif kind < 0.40:
        lean = float(random.uniform(0.2, 1.2))
    pairs = [(float(a[0]), float(a[1])) for a in (*upper, thighs, knees)]
    return Pose(pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], lean)


def _places(room: Room, count: int, random: np.random.Generator) -> list[Array]:
    """Positions (2,) outside of furniture, some of them in groups, none nearer than a shoulder."""
    size = np.array(room.bounds_m[2:])
    places: list[Array] = []
    for _ in range(60 * count):
        if len(places) == count:
            break
        place = random.uniform(0.02, 0.98, 2) * size
        if places and random.uniform() < 0.35:
            place = places[random.integers(len(places))] + random.normal(0, 0.6, 2)
        if is_free(room, place) and all(np.hypot(*(place - p)) > 0.32 for p in places):
            places.append(place)
    return places + [np.array([np.nan, np.nan])] * (count - len(places))


def is_free(room: Room, place: Array) -> bool:
    """Whether a person at ``place`` (2,) stands within the walls and in no furniture."""
    margin = 0.15
    inside = ((place > 0.1) & (place < np.array(room.bounds_m[2:]) - 0.1)).all()
    return bool(inside) and not any(
        ((place > np.array(piece.low_m) - margin) & (place < np.array(piece.high_m) + margin)).all()
        for piece in room.furniture
    )


def _varied(person: Person, random: np.random.Generator) -> Person:
    free = random.uniform(size=3) < 0.5
    height = person.height_m * random.uniform(0.92, 1.06)
    if random.uniform() < 0.06:
        height = random.uniform(1.05, 1.5)
    return replace(
        person,
        height_m=float(height),
        build=float(np.clip(person.build * random.normal(1.02, 0.09), 0.8, 1.4)),
        top_colour=random_colour(random) if free[0] else person.top_colour,
        second_colour=random_colour(random) if free[1] else person.second_colour,
        legs_colour=random_colour(random) if free[2] else person.legs_colour,
        cloth=str(random.choice(CLOTH)) if free[1] else person.cloth,
    )

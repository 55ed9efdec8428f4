"""How a figure holds itself: from where it is and how fast it goes to one matrix for each bone.

Feet that carry weight stay where they are on the floor: in one step cycle the body moves exactly
one stride, and a foot on the floor moves backwards under it at the same speed.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.people import Person
from training.transforms import moved, pitch, roll, yaw

Array = npt.NDArray[np.float64]

PELVIS, CHEST, HEAD, L_ARM, R_ARM, L_FOREARM, R_FOREARM = range(7)
L_THIGH, R_THIGH, L_SHIN, R_SHIN, L_FOOT, R_FOOT = range(7, 13)
BONES = 13

# Shares of the body height (Drillis and Contini 1966, as in Winter, Biomechanics, chapter 4).
THIGH, SHIN, ANKLE = 0.245, 0.246, 0.039
HIP, WAIST, NECK, SHOULDER = THIGH + SHIN + ANKLE, 0.60, 0.855, 0.815
UPPER_ARM, FOREARM, HIP_HALF, SHOULDER_HALF = 0.186, 0.146, 0.052, 0.112
_ON_FLOOR = 0.62
_SIDES = ((0, 1.0), (1, -1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """One person in F moments: ``position_m`` (F, 2), NaN while away; the others (F,).

    ``cycles`` counts step cycles; ``seconds`` only drives the small movements of who stands still.
    """

    position_m: Array
    heading_rad: Array
    speed_mps: Array
    cycles: Array
    seconds: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What all limbs need: ``moving`` 0 (standing) to 1, ``swing`` of the arms -1..1, ``half`` of
    the way that a foot is on the floor, ``hip_z`` the height of the hips in metres.
    """

    person: Person
    cycles: Array
    seconds: Array
    moving: Array
    swing: Array
    half: Array
    hip_z: Array


def stride_m(person: Person, speed_mps: npt.ArrayLike) -> Array:
    """Metres that the body moves in a cycle of two steps, longer the faster it goes."""
    speed = np.asarray(speed_mps, dtype=np.float64)
    return np.asarray(person.height_m * (0.28 + 0.36 * np.sqrt(np.clip(speed, 0, 2.5))))


def bone_matrices(person: Person, motion: Motion) -> Array:
    """(F, 13, 3, 4) matrices from bone to map coordinates; NaN while the person is away."""
    step, count, h = _step(person, motion), len(motion.cycles), person.height_m
    sway = 0.012 * np.sin(0.9 * motion.seconds + person.person_id) * (1 - step.moving)
    root = yaw(motion.heading_rad)
    root[:, :2, 3] = motion.position_m
    hips = root @ moved(count, 0.0, sway, step.hip_z)
    pelvis = hips @ yaw(-0.10 * step.swing)
    lean = 0.035 + 0.05 * np.clip(motion.speed_mps - 0.8, 0, 1) * step.moving
    waist = pelvis @ moved(count, z=(WAIST - HIP) * h)
    chest = waist @ yaw(0.24 * step.swing) @ pitch(-lean)
    bones = np.zeros((count, BONES, 3, 4))
    bones[:, PELVIS], bones[:, CHEST] = pelvis[:, :3], chest[:, :3]
    bones[:, HEAD] = (chest @ moved(count, z=(NECK - WAIST) * h) @ _head(step))[:, :3]
    for number, side in _SIDES:
        _put_leg(bones, hips, step, number, side)
        _put_arm(bones, chest, step, number, side)
    return bones


def foot_path(cycle: Array, half: Array, height: float) -> tuple[Array, Array, Array]:
    """Where an ankle is in front of the hip, how high, and how far the foot points up (rad), at
    ``cycle`` (0..1, 0 as the heel lands); ``half`` is half the way on the floor in metres.
    """
    is_down = cycle < _ON_FLOOR
    done = np.clip(cycle / _ON_FLOOR, 0, 1)
    u = np.clip((cycle - _ON_FLOOR) / (1 - _ON_FLOOR), 0, 1)
    forward = half * np.where(is_down, 1 - 2 * done, 2 * u * u * (3 - 2 * u) - 1)
    rolling_off = -0.75 * np.clip((done - 0.62) / 0.38, 0, 1) ** 2
    landing = 0.28 * np.clip(1 - done / 0.14, 0, 1)
    swinging = -0.75 * (1 - u) ** 2 + 0.28 * u**4
    size = np.clip(half / (0.2 * height), 0, 1)
    tilt = np.where(is_down, rolling_off + landing, swinging) * size
    lift = np.where(is_down, 0.0, 0.055 * np.sin(np.pi * u)) * size
    heel = 0.085 * np.sin(np.maximum(-tilt, 0.0))
    return forward, height * (ANKLE + lift + heel), tilt


def _step(person: Person, motion: Motion) -> _Step:
    moving = np.clip(motion.speed_mps / 0.45, 0, 1)
    half = stride_m(person, motion.speed_mps) * _ON_FLOOR / 2 * moving
    return _Step(
        person=person,
        cycles=motion.cycles,
        seconds=motion.seconds,
        moving=moving,
        swing=np.sin(2 * np.pi * motion.cycles) * moving,
        half=half,
        hip_z=_hip_height(person.height_m, half, motion.cycles, moving),
    )


def _hip_height(height: float, half: Array, cycles: Array, moving: Array) -> Array:
    """Highest as a leg passes under the body, lowest as a heel lands."""
    leg = (THIGH + SHIN) * height * 0.992
    reach = np.sqrt(np.maximum(leg**2 - (0.42 * half) ** 2, 0.0))
    bob = 0.022 * height * moving * (1 + np.cos(4 * np.pi * (cycles - 0.03))) / 2
    return np.asarray(ANKLE * height + reach - bob)


def _put_leg(bones: Array, hips: Array, step: _Step, number: int, side: float) -> None:
    h, count = step.person.height_m, len(hips)
    cycle = np.mod(step.cycles + 0.5 * number, 1.0)
    forward, ankle_z, tilt = foot_path(cycle, step.half, h)
    thigh, shin = _two_bones(forward, step.hip_z - ankle_z, THIGH * h, SHIN * h)
    upper = hips @ moved(count, y=side * HIP_HALF * h * step.person.build) @ pitch(thigh)
    lower = upper @ moved(count, z=-THIGH * h) @ pitch(shin - thigh)
    ankle = lower @ moved(count, z=-SHIN * h)
    foot = ankle @ pitch(tilt - shin) @ yaw(np.full(count, 0.12 * side))
    bones[:, L_THIGH + number], bones[:, L_SHIN + number] = upper[:, :3], lower[:, :3]
    bones[:, L_FOOT + number] = foot[:, :3]


def _two_bones(forward: Array, down: Array, upper: float, lower: float) -> tuple[Array, Array]:
    """Forward angles of thigh and shin so that the ankle gets there, the knee to the front."""
    distance = np.clip(np.hypot(forward, down), 0.3 * upper, (upper + lower) * 0.9995)
    at_hip = _corner(upper, distance, lower)
    at_knee = _corner(upper, lower, distance)
    thigh = np.arctan2(forward, down) + at_hip
    return thigh, thigh - (np.pi - at_knee)


def _corner(a: float, b: npt.ArrayLike, opposite: npt.ArrayLike) -> Array:
    """Angle between the sides ``a`` and ``b`` of a triangle, from all three lengths."""
    near, far = np.asarray(b), np.asarray(opposite)
    return np.asarray(np.arccos(np.clip((a**2 + near**2 - far**2) / (2 * a * near), -1, 1)))


def _put_arm(bones: Array, chest: Array, step: _Step, number: int, side: float) -> None:
    person, count, still = step.person, len(chest), 1 - step.moving
    up, elbow, inward = _idle_arm(person, number)
    drift = 0.04 * np.sin(0.7 * step.seconds + 2.1 * person.person_id + number)
    raised = side * 0.42 * step.swing + still * (up + drift) - 0.04
    bent = 0.22 + 0.22 * np.maximum(side * step.swing, 0) + still * (elbow + drift)
    outward = np.full(count, side * (0.10 + 0.16 * max(person.build - 0.9, 0)))
    y = side * SHOULDER_HALF * person.height_m * (0.55 + 0.45 * person.build)
    shoulder = chest @ moved(count, y=y, z=(SHOULDER - WAIST) * person.height_m)
    upper = shoulder @ roll(outward) @ pitch(raised)
    elbow_joint = upper @ moved(count, z=-UPPER_ARM * person.height_m)
    lower = elbow_joint @ pitch(bent) @ roll(-still * side * inward)
    bones[:, L_ARM + number], bones[:, L_FOREARM + number] = upper[:, :3], lower[:, :3]


def _idle_arm(person: Person, number: int) -> tuple[float, float, float]:
    """Upper arm, elbow and inward turn while standing: hanging, looking at a phone, or folded."""
    habit = (person.person_id * 5 + person.person_id // 3) % 4
    if habit == 0 and number == 1:
        return 0.45, 1.75, 0.25
    if habit == 2:
        return 0.30, 1.25, 0.85
    return 0.0, 0.05, 0.0


def _head(step: _Step) -> Array:
    phase = 1.7 * step.person.person_id
    look = np.sin(0.55 * step.seconds + phase) + 0.6 * np.sin(1.27 * step.seconds + 2 * phase)
    nod = np.full(len(look), -0.08)
    return np.asarray(yaw(look * (0.12 + 0.22 * (1 - step.moving))) @ pitch(nod))

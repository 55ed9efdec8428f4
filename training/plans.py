"""What each person means to do: through which door, to which places, for how long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.room import Door, Point, Room, Spot

_GROUP_RADIUS_M = 0.52


@dataclass(frozen=True, slots=True)
class Stop:
    """A place to stand at for ``seconds``, looking to ``facing_m``; None for a place to pass."""

    position_m: Point
    facing_m: Point | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """``starts_s`` is when the person comes through ``entry`` (None: stands at the first stop as
    the scene begins). After ``stops`` the person leaves through ``leaves_by`` and is ``away_s``.
    """

    starts_s: float
    entry: Door | None
    stops: tuple[Stop, ...]
    leaves_by: Door
    away_s: float


def make_plans(room: Room, count: int, seconds: float, seed: int) -> tuple[tuple[Plan, ...], ...]:
    """For each person the visits one after the other, enough for all of the scene."""
    random = np.random.default_rng((seed, 211))
    taken: Counter[Point] = Counter()
    inside = max(1, round(0.6 * count))
    late_s = [0.0] * inside
    late_s += [
        float(min(0.45 * seconds, 40.0) * k / (count - inside) + random.uniform(0.0, 2.0))
        for k in range(count - inside)
    ]
    return tuple(
        _visits(room, k, late_s, seconds, random=random, taken=taken) for k in range(count)
    )


def _visits(
    room: Room,
    number: int,
    late_s: Sequence[float],
    seconds: float,
    *,
    random: np.random.Generator,
    taken: Counter[Point],
) -> tuple[Plan, ...]:
    plans: list[Plan] = []
    clock = 0.0
    while clock < seconds + 5:
        first = not plans
        entry = None if first and not late_s[number] else _one(room.doors, random)
        stops = _stops(room, random, taken, stays=first and number % 3 == 0)
        away, starts = float(random.uniform(4, 12)), late_s[number] if first else 0.0
        plans.append(Plan(starts, entry, stops, _one(room.doors, random), away))
        clock += sum(stop.seconds + 5 for stop in stops) + away
    return tuple(plans)


def _stops(
    room: Room, random: np.random.Generator, taken: Counter[Point], *, stays: bool
) -> tuple[Stop, ...]:
    """One to four places; some people join a group and stay."""
    groups = [spot for spot in room.spots if spot.room_for > 1]
    count = int(random.integers(2, 5))
    chosen = [room.spots[k] for k in random.permutation(len(room.spots))[:count].tolist()]
    if stays and groups:
        chosen[0] = groups[int(random.integers(min(2, len(groups))))]
    return tuple(_stop(spot, random, taken, long=stays and k == 0) for k, spot in enumerate(chosen))


def _stop(spot: Spot, random: np.random.Generator, taken: Counter[Point], *, long: bool) -> Stop:
    seconds = float(random.uniform(9, 18) if long else random.choice([0.0, 2.5, 4.0, 7.0]))
    number = taken[spot.position_m]
    taken[spot.position_m] += 1
    if spot.room_for == 1:
        return Stop(spot.position_m, spot.facing_m, seconds)
    angle = 2 * np.pi * (number % spot.room_for) / spot.room_for + 0.4
    x, y = spot.position_m
    place = (x + _GROUP_RADIUS_M * float(np.cos(angle)), y + _GROUP_RADIUS_M * float(np.sin(angle)))
    return Stop(place, spot.position_m, seconds)


def _one(doors: tuple[Door, ...], random: np.random.Generator) -> Door:
    return doors[int(random.integers(len(doors)))]

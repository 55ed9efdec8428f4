"""People on the floor: where each is in each frame, how it is turned and how far its steps are.

Pure: the same room, people and seed always give the same walk.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.gait import stride_m
from training.navigation import Floor
from training.people import Person
from training.plans import Plan, make_plans
from training.room import Point, Room

Array = npt.NDArray[np.float64]

BODY_DISTANCE_M = 0.5
_SUBSTEPS = 4
_HORIZON_S = 2.2
_WISH_DISTANCE_M = 0.95
_ACCELERATION = 2.6
_TURN_RPS = 4.0
_GIVE_UP_S = 9.0


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """P people in F frames: ``position_m`` (P, F, 2), NaN while a person is away; ``heading_rad``,
    ``speed_mps`` and ``cycles`` (step cycles done) are (P, F).
    """

    position_m: Array
    heading_rad: Array
    speed_mps: Array
    cycles: Array

    def is_present(self) -> npt.NDArray[np.bool_]:
        """(P, F)."""
        return np.asarray(np.isfinite(self.position_m[..., 0]))


@dataclass(slots=True)
class _Walker:
    person: Person
    plans: list[Plan]
    waits_until_s: float
    targets: list[tuple[Point, Point | None, float]] = field(default_factory=list)
    present: bool = False
    stands_until_s: float = -1.0
    arrives_by_s: float = np.inf


def simulate_walks(
    room: Room, people: tuple[Person, ...], frames: int, rate_hz: float, seed: int
) -> Walks:
    """Lets ``people`` go about in ``room`` for ``frames`` frames."""
    crowd = _Crowd(room, people, frames / rate_hz, seed)
    shape = (len(people), frames)
    walks = Walks(np.full((*shape, 2), np.nan), np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for frame in range(frames):
        crowd.record(walks, frame)
        for part in range(_SUBSTEPS):
            crowd.step((frame + part / _SUBSTEPS) / rate_hz, 1 / (rate_hz * _SUBSTEPS))
    return walks


class _Crowd:
    def __init__(self, room: Room, people: tuple[Person, ...], seconds: float, seed: int) -> None:
        self._floor = Floor(room)
        plans = make_plans(room, len(people), seconds, seed)
        self._walkers = [
            _Walker(person, list(visits), visits[0].starts_s)
            for person, visits in zip(people, plans, strict=True)
        ]
        count = len(people)
        self._position, self._velocity = np.full((count, 2), 1e3), np.zeros((count, 2))
        self._heading, self._cycles = np.zeros(count), np.linspace(0, 0.9, count)
        self._present = np.zeros(count, dtype=bool)
        for k, walker in enumerate(self._walkers):
            if walker.plans[0].entry is None:
                self._enter(k, walker, 0.0)
        for _ in range(30):  # who starts in the same place makes room
            self._part_bodies()

    def record(self, walks: Walks, frame: int) -> None:
        walks.position_m[self._present, frame] = self._position[self._present]
        walks.heading_rad[:, frame] = self._heading
        walks.speed_mps[:, frame] = np.linalg.norm(self._velocity, axis=1)
        walks.cycles[:, frame] = self._cycles

    def step(self, now_s: float, dt: float) -> None:
        wish = np.zeros_like(self._position)
        for k, walker in enumerate(self._walkers):
            if not walker.present and now_s >= walker.waits_until_s:
                self._enter(k, walker, now_s)
            if walker.present:
                wish[k] = self._wish(k, walker, now_s)
        wish += self._avoidance(wish)
        self._move(wish, dt)
        self._turn(now_s, dt)

    def _enter(self, k: int, walker: _Walker, now_s: float) -> None:
        plan = walker.plans[0]
        start = plan.stops[0].position_m if plan.entry is None else plan.entry.outside_m
        gaps = np.linalg.norm(self._position[self._present] - start, axis=1)
        if plan.entry is not None and (gaps < 1.0).any():
            return
        door = plan.leaves_by
        walker.targets = [] if plan.entry is None else [(plan.entry.inside_m, None, 0.0)]
        walker.targets += [(stop.position_m, stop.facing_m, stop.seconds) for stop in plan.stops]
        walker.targets += [(door.inside_m, None, 0.0), (door.outside_m, None, 0.0)]
        walker.present = self._present[k] = True
        walker.arrives_by_s = now_s + 30.0
        # Never in exactly the same place as another, or there is no direction to part in.
        nudge = (0.02 * np.cos(2.4 * k), 0.02 * np.sin(2.4 * k))
        self._position[k], self._velocity[k] = np.add(start, nudge), 0.0
        ahead = np.array(walker.targets[0][1] or walker.targets[0][0]) - self._position[k]
        self._heading[k] = np.arctan2(ahead[1], ahead[0])

    def _wish(self, k: int, walker: _Walker, now_s: float) -> Array:
        if now_s < walker.stands_until_s:
            return np.zeros(2)
        if walker.stands_until_s >= 0:
            walker.stands_until_s = -1.0
            walker.targets.pop(0)
        goal, _, seconds = walker.targets[0]
        direction, to_go = self._floor.towards(self._position[k], goal)
        close = 0.5 if seconds == 0 else 0.12
        if to_go < 1.2 and now_s > walker.arrives_by_s - 30.0 + _GIVE_UP_S:
            close = 1.2  # somebody else stands there
        if to_go < close or now_s > walker.arrives_by_s:
            self._arrive(k, walker, now_s)
            return np.zeros(2) if seconds else direction * walker.person.walking_mps
        brakes = 1.0 if seconds == 0 else min(1.0, 0.25 + to_go / 0.9)
        return np.asarray(direction * walker.person.walking_mps * brakes)

    def _arrive(self, k: int, walker: _Walker, now_s: float) -> None:
        _, _, seconds = walker.targets[0]
        if len(walker.targets) == 1:
            self._leave(k, walker, now_s)
            return
        walker.arrives_by_s = now_s + seconds + 30.0
        if seconds == 0:
            walker.targets.pop(0)
        else:
            walker.stands_until_s = now_s + seconds

    def _leave(self, k: int, walker: _Walker, now_s: float) -> None:
        plan = walker.plans.pop(0)
        walker.present = self._present[k] = False
        self._position[k], self._velocity[k] = 1e3, 0.0
        walker.waits_until_s = now_s + plan.away_s if walker.plans else np.inf

    def _avoidance(self, wish: Array) -> Array:
        """Sideways speed that keeps people from meeting in the next seconds."""
        apart = self._position[None] - self._position[:, None]
        closing = self._velocity[None] - wish[:, None]
        speed2 = np.maximum((closing**2).sum(2), 1e-6)
        when = np.clip(-(apart * closing).sum(2) / speed2, 0, _HORIZON_S)
        miss = apart + closing * when[..., None]
        distance = np.linalg.norm(miss, axis=2)
        urgent = np.clip(1 - distance / _WISH_DISTANCE_M, 0, 1) * (1 - when / _HORIZON_S)
        urgent *= np.linalg.norm(apart, axis=2) < 3.0
        np.fill_diagonal(urgent, 0.0)
        # Exactly ahead there is no side: everybody keeps to the right.
        right = np.stack([wish[:, 1], -wish[:, 0]], 1)[:, None] * 0.15
        side = -miss + right
        side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
        walks = np.linalg.norm(wish, axis=1) > 0.05
        return np.asarray((side * (1.5 * urgent * walks[:, None])[..., None]).sum(1))

    def _move(self, wish: Array, dt: float) -> None:
        before = self._position.copy()
        change = wish - self._velocity
        size = np.maximum(np.linalg.norm(change, axis=1, keepdims=True), 1e-9)
        velocity = self._velocity + change * np.minimum(1.0, _ACCELERATION * dt / size)
        top = np.array([1.25 * walker.person.walking_mps for walker in self._walkers])
        fast = np.maximum(np.linalg.norm(velocity, axis=1) / top, 1.0)
        self._position[self._present] += (velocity / fast[:, None] * dt)[self._present]
        self._part_bodies()
        gone = self._position - before
        self._velocity = np.where(self._present[:, None], gone / dt, 0.0)
        speed = np.linalg.norm(self._velocity, axis=1)
        over = np.maximum(speed / (1.6 * top), 1.0)
        self._velocity /= over[:, None]
        for k, walker in enumerate(self._walkers):
            self._cycles[k] += speed[k] * dt / float(stride_m(walker.person, speed[k]))

    def _part_bodies(self) -> None:
        inside = self._present
        position = self._position[inside]
        for _ in range(3):
            apart = position[:, None] - position[None]
            distance = np.linalg.norm(apart, axis=2)
            np.fill_diagonal(distance, np.inf)
            depth = np.clip(BODY_DISTANCE_M + 0.01 - distance, 0, None) / 2
            away = apart / np.maximum(distance, 1e-3)[..., None]
            position = position + (away * depth[..., None]).sum(1)
            position = self._floor.pushed_out(position)
        self._position[inside] = position

    def _turn(self, now_s: float, dt: float) -> None:
        for k, walker in enumerate(self._walkers):
            ahead = self._velocity[k]
            standing = walker.present and now_s < walker.stands_until_s
            if standing and walker.targets[0][1] is not None:
                ahead = np.array(walker.targets[0][1]) - self._position[k]
            if float(np.hypot(*ahead)) < 0.12:
                continue
            turn = np.arctan2(ahead[1], ahead[0]) - self._heading[k]
            turn = (turn + np.pi) % (2 * np.pi) - np.pi
            self._heading[k] += np.clip(turn, -_TURN_RPS * dt, _TURN_RPS * dt)

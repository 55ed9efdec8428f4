"""The people known so far: where each is, since when, and when last seen."""

import uuid
from dataclasses import dataclass, field

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking import trajectories
from plugins.tracking.assignment import IntArray
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.vector_pool import Vectors

NAMESPACE = uuid.UUID("6f1c1f0e-52a5-5d0b-9a53-0c9c3a7d4b11")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The look (D,) of somebody at a moment."""

    time_ns: int
    vector: Vectors


@dataclass(slots=True)
class Person:
    """``mean`` (6,) and ``cov`` (6, 6) as in ``trajectories.py``, valid at ``time_ns``; both stay
    zero while ``has_place`` is false: seen, but never where the floor is mapped. ``existence`` is
    the log-odds that there is such a person, by what the cameras should see of them and do see;
    ``is_real`` when that has once been certain, ``is_known`` when they have been shown.
    ``glimpses`` are the looks of the last seconds, ``is_doubted`` when they want another.
    ``back_ns`` is when they were last found again, by place alone, after no
    camera had seen them; -1 for never.
    ``behind`` is the chance, by camera, that something in the room hides them from it
    (``scenery.py``). While they are not real, ``told`` is what each camera has said for their
    existence at ``told_at_m``.
    """

    number: int
    global_id: str
    born_ns: int
    seen_ns: int
    time_ns: int
    mean: FloatArray
    cov: FloatArray
    has_place: bool
    existence: float = 0.0
    is_real: bool = False
    is_known: bool = False
    glimpses: list[Glimpse] = field(default_factory=list)
    is_doubted: bool = False
    back_ns: int = -1
    behind: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    told_at_m: tuple[float, float] | None = None


@dataclass(slots=True)
class People:
    """Persons by number; numbers count up in order of birth, so the smaller is the older."""

    identity_seed: str
    persons: dict[int, Person] = field(default_factory=dict)
    next_number: int = 0

    def begin(self, time_ns: int) -> Person:
        """A new person without a place. Same seed, same order of births: same global id."""
        number = self.next_number
        self.next_number += 1
        global_id = str(uuid.uuid5(NAMESPACE, f"{self.identity_seed}/{time_ns}/{number}"))
        person = Person(
            number, global_id, time_ns, time_ns, time_ns, np.zeros(6), np.zeros((6, 6)), False
        )
        self.persons[number] = person
        return person

    def advance(self, time_ns: int, parameters: TrackingParameters) -> list[Person]:
        """Predicts those seen lately to ``time_ns`` and returns the ones that have a place."""
        limit_ns = int(parameters.lost_after_s * NS_PER_S)
        active = [
            p for p in self.persons.values() if p.has_place and time_ns - p.seen_ns <= limit_ns
        ]
        # One group as a rule; somebody found again where no floor is mapped has an older place.
        for since_ns in sorted({p.time_ns for p in active}):
            group = [p for p in active if p.time_ns == since_ns]
            dt_s = max(0, time_ns - since_ns) / NS_PER_S
            mean, cov = trajectories.predict(*stacked(group), dt_s, parameters)
            for person, m, c in zip(group, mean, cov, strict=True):
                person.mean, person.cov, person.time_ns = m, c, time_ns
        return active

    def place(
        self,
        person: Person,
        state: FloatArray,
        cov: FloatArray,
        time_ns: int,
        p: TrackingParameters,
    ) -> None:
        """Puts a person somewhere, whatever was known of their place before."""
        person.mean, person.cov = trajectories.begin(state, cov, p)
        person.time_ns, person.has_place = time_ns, True
        person.behind, person.told, person.told_at_m = {}, {}, None

    def forget(self, time_ns: int, keep: set[int], parameters: TrackingParameters) -> set[int]:
        """Drops people unseen for too long, except ``keep``; returns their numbers."""
        limit_ns = int(parameters.forget_after_s * NS_PER_S)
        gone = {
            n for n, p in self.persons.items() if n not in keep and time_ns - p.seen_ns > limit_ns
        }
        for number in gone:
            del self.persons[number]
        return gone


def pairs_within(mean: FloatArray, within_m: float) -> tuple[IntArray, IntArray]:
    """Rows (Q,) and (Q,) of means (N, 6) that are no further apart, the smaller row first."""
    x, y = mean[:, 0], mean[:, 1]
    squared_m2 = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    a, b = np.nonzero(squared_m2 <= within_m**2)
    return a[a < b], b[a < b]


def stacked(persons: list[Person]) -> tuple[FloatArray, FloatArray]:
    """Means (N, 6) and covariances (N, 6, 6)."""
    if not persons:
        return np.zeros((0, 6)), np.zeros((0, 6, 6))
    mean = np.concatenate([p.mean for p in persons]).reshape(-1, 6)
    return mean, np.concatenate([p.cov for p in persons]).reshape(-1, 6, 6)

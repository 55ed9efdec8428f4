"""Recognising somebody who was lost: by appearance, among those who could have walked here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.gallery import Gallery
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person
from plugins.tracking.vector_pool import Vectors

_REACH_M = 1.0
# More than can be in view at once: among so many of the most alike are some who are lost.
_COMPARED = 128


@dataclass(frozen=True, slots=True)
class Recognition:
    """The lost person most like a crop, and whether that is enough to be the same."""

    person: Person
    cosine: float
    metres: float | None
    seconds: float
    is_same: bool
    reason: str


def can_have_walked(
    person: Person, place_m: FloatArray | None, time_ns: int, parameters: TrackingParameters
) -> bool:
    """Whether the way from where a person was last seen takes no more than their fastest walk."""
    distance_m = walked_m(person, place_m)
    if distance_m is None:
        return True
    gap_s = (time_ns - person.seen_ns) / NS_PER_S
    return distance_m <= _REACH_M + parameters.max_speed_mps * gap_s


def walked_m(person: Person, place_m: FloatArray | None) -> float | None:
    """Metres from a person's last place to another, None where either is unknown."""
    if place_m is None or not person.has_place:
        return None
    return float(np.linalg.norm(person.mean[:2] - place_m))


def recognise(
    look: Vectors,
    where: Callable[[], FloatArray | None],
    lost: Callable[[int], Person | None],
    gallery: Gallery,
    *,
    time_ns: int,
    parameters: TrackingParameters,
    least: float = -1.0,
) -> Recognition | None:
    """The best of the lost people for a unit vector (D,), None if none has been seen enough, or
    if no cosine is ``least`` and more.

    ``lost`` says who somebody of the gallery is, None for people who are not lost; ``where`` tells
    the place, which takes a while to know.
    """
    alike = [
        (cosine, person)
        for number, cosine in gallery.nearest(look, _COMPARED)
        if (person := lost(number)) is not None
    ]
    if not alike or alike[0][0] < least:
        return None
    place_m = where()
    ranked = [one for one in alike if can_have_walked(one[1], place_m, time_ns, parameters)]
    if not ranked:
        return None
    cosine, person = _eldest(ranked, parameters)
    rivals = [c for c, other in ranked if other is not person and _are_two(person, other)]
    runner_up = rivals[0] if rivals else -1.0
    is_same, reason = _judge(cosine, runner_up, parameters)
    seconds = (time_ns - person.seen_ns) / NS_PER_S
    return Recognition(person, cosine, walked_m(person, place_m), seconds, is_same, reason)


def _are_two(a: Person, b: Person) -> bool:
    """Whether both were there at one time; otherwise they may be one, known twice."""
    return a.born_ns <= b.seen_ns and b.born_ns <= a.seen_ns


def _eldest(
    ranked: list[tuple[float, Person]], parameters: TrackingParameters
) -> tuple[float, Person]:
    """The most alike, or who may be the same person, nearly as alike, and known for longer."""
    best, person = ranked[0]
    least = max(best - parameters.cosine_margin, parameters.same_cosine)
    close = [(c, p) for c, p in ranked[1:] if c >= least and not _are_two(person, p)]
    return min([(best, person), *close], key=lambda each: each[1].number)


def _judge(cosine: float, runner_up: float, parameters: TrackingParameters) -> tuple[bool, str]:
    if cosine < parameters.same_cosine:
        return False, "looks too different"
    if cosine - runner_up < parameters.cosine_margin:
        return False, "looks like two people equally"
    return True, "looks the same and could have walked here"

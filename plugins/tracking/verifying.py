"""Do people still look like whom they are said to be?

Boxes that err can carry a name over to somebody else who stands near. What was seen of each person
lately is therefore held against how that person and all others look: who looks like another one
for several crops becomes that one, wherever the two are now.
"""

from collections.abc import Sequence

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.appearance import log_likelihood
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.gallery import unit
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Glimpse, Person
from plugins.tracking.recognition import can_have_walked
from plugins.tracking.results import IdentityDecision

_LATELY_S = 4.0
_MOST_GLIMPSES = 8
_LEAST_TRUST = 0.3
# Crops of one person within seconds err alike: more of them than this say no more.
_INDEPENDENT = 3
_LEAST_MOMENTS = 2
_COMPARED = 16
_UNLIKE = -0.5
_CLEARLY = 4.0
# So many moments must show somebody else before a person becomes one whom nobody knows yet.
_STRANGE_MOMENTS = 3
_LIKE_THE_OTHER = "has looked like this person lately, and not like the other"
_LIKE_NOBODY = "has looked unlike the other lately, and like nobody known"


def glimpse(state: IdentityState, parameters: TrackingParameters) -> None:
    """Takes down what was newly seen of each person, and forgets what is old."""
    since_ns = state.time_ns - int(_LATELY_S * NS_PER_S)
    for person in state.people.persons.values():
        if person.glimpses and person.glimpses[0].time_ns < since_ns:
            person.glimpses = [g for g in person.glimpses if g.time_ns >= since_ns]
    for by_id in state.links.values():
        for link in by_id.values():
            look = link.look
            if look is None or link.person is None or link.strained_s > 0:
                continue
            if look.quality < parameters.min_crop_quality or link.trust < _LEAST_TRUST:
                continue
            person = state.people.persons[link.person]
            person.glimpses.append(Glimpse(state.time_ns, look.vector))
            del person.glimpses[:-_MOST_GLIMPSES]


def verify(state: IdentityState, parameters: TrackingParameters) -> list[IdentityDecision]:
    """Exchanges people who lately look like others, with those."""
    linked = state.linked()
    decisions: list[IdentityDecision] = []
    for person in _suspects(state, parameters):
        # An exchange of another one may have cleared them.
        own = float(_evidence(state, person, [person.number], parameters)[0])
        if np.isnan(own) or own > _UNLIKE:
            continue
        other = _better(state, person, own, linked, parameters)
        if other is not None:
            decisions += _exchange(state, person, other, linked, _LIKE_THE_OTHER)
        elif _is_a_stranger(state, person, parameters):
            decisions += _exchange(state, person, _begin(state, person), linked, _LIKE_NOBODY)
    return decisions


def _suspects(state: IdentityState, parameters: TrackingParameters) -> list[Person]:
    """Those newly seen who lately do not look like themselves."""
    seen = [
        p
        for p in state.people.persons.values()
        if p.glimpses and p.glimpses[-1].time_ns == state.time_ns
    ]
    for person in seen:
        person.is_doubted = False
    seen = [p for p in seen if len({g.time_ns for g in p.glimpses}) >= _LEAST_MOMENTS]
    if not seen:
        return []
    looks = np.stack([g.vector for p in seen for g in p.glimpses])
    told = log_likelihood(state.gallery.cosines(looks, [p.number for p in seen]), parameters)
    shown = np.repeat(range(len(seen)), [len(p.glimpses) for p in seen])
    return [p for i, p in enumerate(seen) if _weighed(told[shown == i, i]) <= _UNLIKE]


def _weighed(told: FloatArray) -> FloatArray:
    """Of log-likelihood ratios (Q, ...) of looks, what all together say (...)."""
    return np.asarray(told.mean(axis=0) * min(len(told), _INDEPENDENT))


def _evidence(
    state: IdentityState, person: Person, numbers: Sequence[int], parameters: TrackingParameters
) -> FloatArray:
    """Log-likelihood ratios (N,) that what was seen of a person lately shows each of some; NaN for
    those of whom there is no picture.
    """
    looks = np.stack([g.vector for g in person.glimpses])
    cosines = state.gallery.cosines(looks, numbers)
    told = _weighed(log_likelihood(cosines, parameters))
    return np.asarray(np.where(np.isnan(cosines).any(axis=0), np.nan, told))


def _better(
    state: IdentityState,
    person: Person,
    own: float,
    linked: set[int],
    parameters: TrackingParameters,
) -> Person | None:
    """Whom a person rather is, None where nobody is clearly likelier."""
    look = unit(np.sum([g.vector for g in person.glimpses], axis=0)[None])[0]
    near = [n for n, _ in state.gallery.nearest(look, _COMPARED) if n != person.number]
    if not near:
        return None
    gains = _evidence(state, person, near, parameters) - own
    for k in np.argsort(-gains, kind="stable").tolist():
        other = state.people.persons[near[k]]
        if gains[k] < _CLEARLY:
            return None
        if other.number not in linked:
            place = person.mean[:2] if person.has_place else None
            if can_have_walked(other, place, state.time_ns, parameters):
                return other
        elif not other.glimpses:
            # A picture of the other one now will tell.
            person.is_doubted = other.is_doubted = True
        else:
            theirs = _evidence(state, other, [person.number, other.number], parameters)
            if gains[k] + theirs[0] - theirs[1] >= _CLEARLY and theirs[0] > theirs[1]:
                return other
    return None


def _is_a_stranger(state: IdentityState, person: Person, parameters: TrackingParameters) -> bool:
    """Whether nothing seen of a person since they were out of sight looks like them: somebody else
    came along. Who stays in sight may turn round or stand in bad light, and is the same.
    """
    since_ns = person.glimpses[0].time_ns
    if not max(0, since_ns - int(_LATELY_S * NS_PER_S)) <= person.back_ns <= since_ns:
        return False
    looks = np.stack([g.vector for g in person.glimpses])
    cosines = state.gallery.cosines(looks, [person.number])
    if not (cosines < parameters.different_cosine).all():
        return False
    # More pictures will tell.
    person.is_doubted = len({g.time_ns for g in person.glimpses}) < _STRANGE_MOMENTS
    return not person.is_doubted


def _begin(state: IdentityState, person: Person) -> Person:
    """A person of whom nothing is known but that they exist as surely as ``person``."""
    stranger = state.people.begin(state.time_ns)
    stranger.existence, stranger.is_real = person.existence, person.is_real
    return stranger


def _exchange(
    state: IdentityState, person: Person, other: Person, linked: set[int], reason: str
) -> list[IdentityDecision]:
    since_ns = person.glimpses[0].time_ns
    decisions = [
        _corrected(state, person, other, since_ns, reason),
        _corrected(state, other, person, since_ns, reason),
    ]
    metres_apart = other.number in linked
    state.exchange(person, other)
    if not metres_apart:
        # Nobody knows where the first one went meanwhile.
        person.seen_ns = min(since_ns, state.time_ns - 2 * NS_PER_S)
        person.mean, person.cov = other.mean.copy(), other.cov.copy()
        person.time_ns, person.has_place = other.time_ns, other.has_place
        person.glimpses = []
    return decisions


def _corrected(
    state: IdentityState, a: Person, b: Person, since_ns: int, reason: str
) -> IdentityDecision:
    """What was taken for ``a`` is ``b``."""
    camera_id, track_id = state.seen_by(a.number)
    return IdentityDecision(
        camera_id=camera_id,
        track_id=track_id,
        global_id=b.global_id,
        other_global_id=a.global_id,
        verdict="corrected",
        seconds=(state.time_ns - since_ns) / NS_PER_S,
        reason=reason,
    )

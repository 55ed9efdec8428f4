"""Who is who across cameras, decided once per synchronised set.

Within a set all cameras are matched with the same prediction, jointly, so their order does not
matter. The stages in order: ``settling.py`` gives boxes to people who are where they stand (with
``evidence.py`` and ``exchanges.py``), ``merging.py`` joins people known twice, ``births.py``
recognises or begins the others. ``identity_state.py`` is what they share.
"""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.births import begin_people, reconsider
from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.matching import Look
from plugins.tracking.merging import merge_people
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.results import IdentityDecision
from plugins.tracking.returning import take_back
from plugins.tracking.settling import settle
from plugins.tracking.verifying import glimpse, verify

_LEAST_TRUST = 0.3
# Whoever was seen within this time may be the one in a crop.
_ABOUT_S = 60.0


def identify(
    state: IdentityState,
    views: list[View],
    living: dict[str, set[int]],
    looks: Looks,
    *,
    time_ns: int,
    parameters: TrackingParameters,
) -> list[IdentityDecision]:
    """Moves ``state`` on by one set; ``living`` are the track ids each camera still follows."""
    dt_s = max(0, time_ns - state.time_ns) / NS_PER_S if state.time_ns >= 0 else 0.0
    state.time_ns = time_ns
    linked = state.linked()
    state.drop_ended(living)
    active = state.people.advance(time_ns, parameters)
    decisions: list[IdentityDecision] = []
    matched, settled = settle(state, views, active, looks, dt_s=dt_s, parameters=parameters)
    decisions += settled
    decisions += merge_people(state, views, active, matched, dt_s=dt_s, parameters=parameters)
    decisions += begin_people(state, views, parameters)
    decisions += take_back(state, parameters)
    glimpse(state, parameters)
    decisions += verify(state, parameters)
    _remember(state, parameters)
    is_one_lost = not linked <= state.linked()
    decisions += reconsider(state, views, parameters, is_one_lost=is_one_lost)
    _forget(state, parameters)
    return decisions


def _remember(state: IdentityState, parameters: TrackingParameters) -> None:
    """Keeps good crops of tracklets whose person is not in doubt."""
    found: list[tuple[int, Look]] = []
    for by_id in state.links.values():
        for link in by_id.values():
            if link.look is None or link.person is None or link.strained_s > 0:
                continue
            if link.trust >= _LEAST_TRUST and link.look.quality >= parameters.min_crop_quality:
                found.append((link.person, link.look))
            link.look = None
    if found:
        _keep_telling(state, found, parameters)


def _keep_telling(
    state: IdentityState, found: list[tuple[int, Look]], parameters: TrackingParameters
) -> None:
    """Keeps all but those of another of the people about, whom the tracklet may have slipped to."""
    limit_ns = state.time_ns - int(_ABOUT_S * NS_PER_S)
    about = [n for n, p in state.people.persons.items() if p.seen_ns >= limit_ns]
    numbers = list(dict.fromkeys([*about, *(person for person, _ in found)]))
    looks = np.stack([look.vector for _, look in found])
    cosines = state.gallery.cosines(looks, numbers)
    most = np.nanmax(cosines, axis=1, initial=parameters.different_cosine)
    own = cosines[range(len(found)), [numbers.index(person) for person, _ in found]]
    for i, (person, look) in enumerate(found):
        # Of somebody new, unless another camera's first look of them was kept just now.
        if np.isnan(own[i]):
            own[i] = state.gallery.cosines(look.vector[None], [person])[0, 0]
        is_another = own[i] < most[i]
        if not is_another:
            state.gallery.add(person, look.vector, look.quality)


def _forget(state: IdentityState, parameters: TrackingParameters) -> None:
    phantoms = _phantoms(state, parameters)
    gone = phantoms | state.people.forget(state.time_ns, state.linked(), parameters)
    if gone:
        state.gallery.forget(gone)
        state.together = {p: t for p, t in state.together.items() if gone.isdisjoint(p)}


def _phantoms(state: IdentityState, parameters: TrackingParameters) -> set[int]:
    """Ends those who turned out never to have been there."""
    phantoms = {
        n
        for n, p in state.people.persons.items()
        if p.has_place and not p.is_real and p.existence < parameters.end_existence
    }
    for by_id in state.links.values():
        for link in by_id.values():
            if link.person in phantoms:
                link.person = None
    for number in phantoms:
        del state.people.persons[number]
    return phantoms

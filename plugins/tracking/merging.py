"""One person known twice, each half by other cameras: found out by standing at one place."""

from itertools import combinations

import numpy as np

from plugins.tracking.assignment import iou
from plugins.tracking.identity_state import IdentityState, Pair, View
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person
from plugins.tracking.results import IdentityDecision
from plugins.tracking.tracklets import boxes_of

_BESIDE_IOU = 0.3


def merge_people(
    state: IdentityState, views: list[View], dt_s: float, parameters: TrackingParameters
) -> list[IdentityDecision]:
    """Merges pairs that were long enough together and never beside each other in a picture."""
    _note_apart(state, views)
    seen = _seen(state, views)
    linked = state.linked()
    pairs = {
        (a, b): _distance_m(state.people.persons[a], state.people.persons[b])
        for a, b in combinations(sorted(seen), 2)
        if (a, b) not in state.apart and not linked[a] & linked[b]
    }
    state.together_s = {
        pair: state.together_s.get(pair, 0.0) + dt_s
        for pair, metres in pairs.items()
        if metres <= parameters.merge_distance_m
    }
    decisions: list[IdentityDecision] = []
    for pair in [p for p, s in state.together_s.items() if s >= parameters.merge_after_s]:
        cosine = _cosine(state, pair)
        if pair not in state.together_s or _looks_different(cosine, parameters):
            continue
        decisions.append(
            _merge(
                state, pair, seen[pair[1]], metres=pairs[pair], cosine=cosine, parameters=parameters
            )
        )
    return decisions


def _note_apart(state: IdentityState, views: list[View]) -> None:
    """Two people whose boxes hardly overlap in one picture are two people, once and for all."""
    for view in views:
        overlap = iou(boxes_of(view.tracklets), boxes_of(view.tracklets))
        known = [
            (row, link.person)
            for row, t in enumerate(view.tracklets)
            if (link := state.link(view.camera_id, t.track_id)).person is not None
            and link.strained_s == 0
        ]
        for (i, a), (j, b) in combinations(known, 2):
            if a is not None and b is not None and overlap[i, j] < _BESIDE_IOU:
                state.apart.add((min(a, b), max(a, b)))


def _seen(state: IdentityState, views: list[View]) -> dict[int, tuple[str, int]]:
    """People with a place seen in this set, and by which tracklet (camera, track id)."""
    seen: dict[int, tuple[str, int]] = {}
    for view in views:
        for tracklet in view.tracklets:
            person = state.person_of(view.camera_id, tracklet.track_id)
            if person is not None and person.has_place:
                seen.setdefault(person.number, (view.camera_id, tracklet.track_id))
    return seen


def _distance_m(a: Person, b: Person) -> float:
    return float(np.linalg.norm(a.mean[:2] - b.mean[:2]))


def _cosine(state: IdentityState, pair: Pair) -> float | None:
    first, second = state.gallery.mean(pair[0]), state.gallery.mean(pair[1])
    if first is None or second is None:
        return None
    return float(first @ second)


def _looks_different(cosine: float | None, parameters: TrackingParameters) -> bool:
    return cosine is not None and cosine < parameters.different_cosine


def _merge(
    state: IdentityState,
    pair: Pair,
    seen_by: tuple[str, int],
    *,
    metres: float,
    cosine: float | None,
    parameters: TrackingParameters,
) -> IdentityDecision:
    kept, dropped = (state.people.persons[n] for n in pair)
    seconds = state.together_s[pair]
    state.rename(kept.number, dropped.number)
    return IdentityDecision(
        camera_id=seen_by[0],
        track_id=seen_by[1],
        global_id=kept.global_id,
        other_global_id=dropped.global_id,
        verdict="merged",
        cosine=cosine,
        metres=metres,
        seconds=seconds,
        threshold=None if cosine is None else parameters.different_cosine,
        reason="at one place for long, never beside each other in one picture",
    )

"""Matches tracklets to the people who are where they stand, and lets go of those who left."""

from collections.abc import Collection

import numpy as np

from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.matching import (
    Comparison,
    Link,
    appearance_ratio,
    compare,
    doubt,
    gate,
    gather,
    match,
)
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked
from plugins.tracking.results import IdentityDecision
from plugins.tracking.tracklets import Tracklet, boxes_of


def settle(
    state: IdentityState,
    view: View,
    active: list[Person],
    looks: Looks,
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> list[IdentityDecision]:
    """Decides on one camera's tracklets given the people predicted to this moment."""
    numbers = [p.number for p in active]
    links = [state.link(view.camera_id, t.track_id) for t in view.tracklets]
    max_squared = gate(parameters)
    comparison = compare(view.standing, *stacked(active), max_squared)
    doubt(links, boxes_of(view.tracklets), dt_s, parameters)
    gather(links, comparison, numbers, dt_s, parameters)
    _look(state, view, links, looks, numbers=numbers, parameters=parameters)
    matched = match(links, comparison, numbers, max_squared, parameters)
    _free_unseen(state, view, set(matched.values()))
    decisions: list[IdentityDecision | None] = []
    for row, (tracklet, link) in enumerate(zip(view.tracklets, links, strict=True)):
        number = matched.get(row)
        if number is not None:
            link.fits = bool(comparison.squared[row, numbers.index(number)] <= max_squared)
            metres = _metres(comparison, row, numbers.index(number))
            decisions.append(_take(state, view, tracklet, link, number=number, metres=metres))
        elif link.person in numbers:
            link.strained_s += dt_s
            if link.strained_s >= parameters.split_after_s or link.person in matched.values():
                decisions.append(_part(state, view, tracklet, link))
    return [decision for decision in decisions if decision is not None]


def fuse_places(state: IdentityState, views: list[View], parameters: TrackingParameters) -> None:
    """Corrects each person's place by all tracklets that show them and fit them."""
    numbers: list[int] = []
    places = []
    for view in views:
        for row, tracklet in enumerate(view.tracklets):
            link = state.link(view.camera_id, tracklet.track_id)
            person = state.person_of(view.camera_id, tracklet.track_id)
            if person is None:
                continue
            person.seen_ns = state.time_ns
            if not view.standing.is_valid[row] or link.strained_s > 0 or not link.fits:
                continue
            if person.has_place and person.time_ns == state.time_ns:
                numbers.append(person.number)
                places.append((view.standing.state[row], view.standing.cov[row]))
            else:
                place, cov = view.standing.state[row], view.standing.cov[row]
                state.people.place(person, place, cov, state.time_ns, parameters)
    measured = np.reshape([place for place, _ in places], (-1, 3))
    covariances = np.reshape([cov for _, cov in places], (-1, 3, 3))
    state.people.correct(numbers, measured, covariances, parameters)


def _look(
    state: IdentityState,
    view: View,
    links: list[Link],
    looks: Looks,
    *,
    numbers: Collection[int],
    parameters: TrackingParameters,
) -> None:
    for tracklet, link in zip(view.tracklets, links, strict=True):
        look = looks.get((view.camera_id, tracklet.track_id))
        if look is not None:
            link.look = look
            cosines = state.gallery.similarity(look.vector, numbers)
            link.appearance = appearance_ratio(cosines, parameters)


def _free_unseen(state: IdentityState, view: View, matched: set[int]) -> None:
    """A tracklet not seen now gives its person up to one that is."""
    seen = {t.track_id for t in view.tracklets}
    for track_id, link in state.links.get(view.camera_id, {}).items():
        if track_id not in seen and link.person in matched:
            link.person = None


def _take(
    state: IdentityState,
    view: View,
    tracklet: Tracklet,
    link: Link,
    *,
    number: int,
    metres: float | None,
) -> IdentityDecision | None:
    before, link.person, link.strained_s = link.person, number, 0.0
    if before == number:
        return None
    other = None if before is None else state.people.persons[before].global_id
    return IdentityDecision(
        camera_id=view.camera_id,
        track_id=tracklet.track_id,
        global_id=state.people.persons[number].global_id,
        other_global_id=other,
        verdict="joined" if before is None else "switched",
        metres=metres,
        log_likelihood=link.evidence.get(number),
        reason="stands where this person is expected",
    )


def _part(
    state: IdentityState, view: View, tracklet: Tracklet, link: Link
) -> IdentityDecision | None:
    person = state.person_of(view.camera_id, tracklet.track_id)
    link.person, link.strained_s = None, 0.0
    if person is None:
        return None
    return IdentityDecision(
        camera_id=view.camera_id,
        track_id=tracklet.track_id,
        global_id=person.global_id,
        other_global_id=person.global_id,
        verdict="split",
        log_likelihood=link.evidence.get(person.number),
        reason="no longer stands where this person is",
    )


def _metres(comparison: Comparison, row: int, column: int) -> float | None:
    metres = float(comparison.metres[row, column])
    return metres if np.isfinite(metres) else None

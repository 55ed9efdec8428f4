"""Tracklets that are nobody yet: somebody lost who came back, or somebody new."""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking import kalman
from plugins.tracking.assignment import covered
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked
from plugins.tracking.recognition import Recognition, recognise
from plugins.tracking.results import IdentityDecision, Verdict
from plugins.tracking.settling import gate
from plugins.tracking.tracklets import Tracklet
from plugins.tracking.trajectories import uncertainty_m
from plugins.tracking.vector_pool import Vectors

_SAME_BODY_COVER = 0.6
_PLACELESS_PATIENCE_S = 1.0
_JUST_SEEN_S = 0.3
# So long may one person have been known twice.
_DOUBLED_S = 5.0


def begin_people(
    state: IdentityState, views: list[View], parameters: TrackingParameters
) -> list[IdentityDecision]:
    """Gives every ripe tracklet without a person one, the surest places first.

    A person begun here is at once open to the other cameras' tracklets.
    """
    decisions: list[IdentityDecision] = []
    begun: list[Person] = []
    for view, row in _ripe(state, views, parameters):
        tracklet = view.tracklets[row]
        free = [p for p in begun if p.number not in state.occupied(view.camera_id)]
        joined = _nearest(view, row, free, parameters)
        if joined is not None:
            state.link(view.camera_id, tracklet.track_id).join(joined.number)
            _fuse(joined, view, row)
            joined.existence += parameters.box_evidence
            metres = float(np.linalg.norm(view.standing.state[row, :2] - joined.mean[:2]))
            decisions.append(
                _decision(view, tracklet, joined, "joined", "began together", metres=metres)
            )
            continue
        person, made = _find_or_begin(state, view, row, parameters)
        decisions += made
        if person.has_place:
            begun.append(person)
    return decisions


def reconsider(
    state: IdentityState, views: list[View], parameters: TrackingParameters, *, is_one_lost: bool
) -> list[IdentityDecision]:
    """People begun lately may turn out to be lost ones: with a new picture of them, or when
    somebody has just been lost.
    """
    decisions: list[IdentityDecision] = []
    young = _reconsidered(state, parameters, is_one_lost)
    if not young:
        return decisions
    lost = _lost(state)
    for view in views:
        for row, tracklet in enumerate(view.tracklets):
            person = state.person_of(view.camera_id, tracklet.track_id)
            if person is None or person.number not in young:
                continue
            young.remove(person.number)
            look = state.gallery.mean(person.number)
            if look is None:
                continue
            until_ns = person.born_ns + int(_DOUBLED_S * NS_PER_S)
            early = {n: p for n, p in lost.items() if p.seen_ns <= until_ns}
            found = _recognised(
                state,
                look,
                view,
                row,
                lost=early,
                parameters=parameters,
                least=parameters.same_cosine,
            )
            if found is None or not found.is_same or found.person.number > person.number:
                continue
            state.rename(found.person.number, person.number)
            _move(found.person, person)
            lost = _lost(state)
            decisions.append(
                _decision(
                    view,
                    tracklet,
                    found.person,
                    "merged",
                    found.reason,
                    other=person,
                    found=found,
                    parameters=parameters,
                )
            )
    return decisions


def _reconsidered(state: IdentityState, parameters: TrackingParameters, is_any: bool) -> set[int]:
    """Numbers of those begun lately, but not now, of whom this set has a picture; or ``is_any``."""
    now_ns, since_ns = state.time_ns, state.time_ns - int(parameters.recognise_s * NS_PER_S)
    return {
        number
        for number, p in state.people.persons.items()
        if since_ns <= p.born_ns < now_ns
        and (is_any or (p.glimpses and p.glimpses[-1].time_ns == now_ns))
    }


def _ripe(
    state: IdentityState, views: list[View], parameters: TrackingParameters
) -> list[tuple[View, int]]:
    """Tracklets (by view and row) that have waited long enough and repeat nobody's box."""
    ripe: list[tuple[float, str, int, View, int]] = []
    for view in views:
        nobodies = [
            row
            for row, tracklet in enumerate(view.tracklets)
            if tracklet.is_confirmed
            and state.link(view.camera_id, tracklet.track_id).person is None
        ]
        repeats = _repeats(state, view, parameters) if nobodies else []
        for row in nobodies:
            tracklet = view.tracklets[row]
            if repeats[row]:
                continue
            age_s = (state.time_ns - tracklet.born_ns) / NS_PER_S
            is_valid = bool(view.standing.is_valid[row])
            sigma_m = uncertainty_m(view.standing.cov[row]) if is_valid else np.inf
            is_sure = sigma_m <= parameters.max_uncertainty_m
            wait_s = parameters.birth_delay_s if is_sure else _PLACELESS_PATIENCE_S
            if age_s >= wait_s:
                ripe.append((sigma_m, view.camera_id, tracklet.track_id, view, row))
    ripe.sort(key=lambda entry: entry[:3])
    return [(view, row) for _, _, _, view, row in ripe]


def _repeats(state: IdentityState, view: View, parameters: TrackingParameters) -> list[bool]:
    """Which tracklets (N,) show a body that another tracklet of this camera shows already."""
    boxes = view.boxes_xyxy
    shared = covered(boxes, boxes)
    shared = np.maximum(shared, shared.T)
    people = [state.person_of(view.camera_id, t.track_id) for t in view.tracklets]
    repeats = [False] * len(people)
    for row in range(len(people)):
        others = [
            p
            for column, p in enumerate(people)
            if column != row and p is not None and shared[row, column] >= _SAME_BODY_COVER
        ]
        if not view.standing.is_valid[row]:
            repeats[row] = bool(others)
        else:
            placed = [p for p in others if p.has_place]
            repeats[row] = _nearest(view, row, placed, parameters) is not None
    return repeats


def _nearest(
    view: View, row: int, people: list[Person], parameters: TrackingParameters
) -> Person | None:
    """Who of some people with a place stands within the gate of a tracklet, the likeliest."""
    if not people or not view.standing.is_valid[row]:
        return None
    mean, cov = stacked(people)
    residual = view.standing.state[row] - mean[:, :3]
    squared = kalman.squared_distance(residual, cov[:, :3, :3] + view.standing.cov[row])
    best = int(squared.argmin())
    return people[best] if squared[best] <= gate(3, parameters) else None


def _fuse(person: Person, view: View, row: int) -> None:
    mean, cov = kalman.update(
        person.mean[None], person.cov[None], view.standing.state[[row]], view.standing.cov[[row]]
    )
    person.mean, person.cov = mean[0], cov[0]


def _find_or_begin(
    state: IdentityState, view: View, row: int, parameters: TrackingParameters
) -> tuple[Person, list[IdentityDecision]]:
    tracklet = view.tracklets[row]
    look = state.link(view.camera_id, tracklet.track_id).look
    found = (
        None
        if look is None
        else _recognised(state, look.vector, view, row, lost=_lost(state), parameters=parameters)
    )
    decisions: list[IdentityDecision] = []
    if found is not None and found.is_same:
        person = found.person
        decisions.append(
            _decision(
                view,
                tracklet,
                person,
                "joined",
                found.reason,
                found=found,
                parameters=parameters,
            )
        )
    else:
        person = state.people.begin(state.time_ns)
        person.existence = parameters.birth_existence
        decisions.append(_decision(view, tracklet, person, "new", "nobody known can be here"))
        if found is not None:
            decisions.append(
                _decision(
                    view,
                    tracklet,
                    person,
                    "kept_apart",
                    found.reason,
                    other=found.person,
                    found=found,
                    parameters=parameters,
                )
            )
    state.link(view.camera_id, tracklet.track_id).join(person.number)
    person.seen_ns = state.time_ns
    if view.standing.is_valid[row]:
        place, cov = view.standing.state[row], view.standing.cov[row]
        state.people.place(person, place, cov, state.time_ns, parameters)
    return person, decisions


def _lost(state: IdentityState) -> dict[int, Person]:
    """By number, who is nowhere to be seen now."""
    linked, until_ns = state.linked(), state.time_ns - int(_JUST_SEEN_S * NS_PER_S)
    persons = state.people.persons
    return {n: p for n, p in persons.items() if n not in linked and p.seen_ns <= until_ns}


def _recognised(
    state: IdentityState,
    look: Vectors,
    view: View,
    row: int,
    *,
    lost: dict[int, Person],
    parameters: TrackingParameters,
    least: float = -1.0,
) -> Recognition | None:
    """The most alike of the lost people, if at least so much."""
    if not lost:
        return None
    return recognise(
        look,
        lambda: view.place_m(row),
        lost.get,
        state.gallery,
        time_ns=state.time_ns,
        parameters=parameters,
        least=least,
    )


def _move(person: Person, to: Person) -> None:
    """Puts a person found again where the one they were taken for stands."""
    person.mean, person.cov = to.mean, to.cov
    person.time_ns, person.seen_ns, person.has_place = to.time_ns, to.seen_ns, to.has_place
    person.behind = to.behind


def _decision(
    view: View,
    tracklet: Tracklet,
    person: Person,
    verdict: Verdict,
    reason: str,
    *,
    other: Person | None = None,
    found: Recognition | None = None,
    metres: float | None = None,
    parameters: TrackingParameters | None = None,
) -> IdentityDecision:
    return IdentityDecision(
        camera_id=view.camera_id,
        track_id=tracklet.track_id,
        global_id=person.global_id,
        other_global_id=None if other is None else other.global_id,
        verdict=verdict,
        cosine=None if found is None else found.cosine,
        metres=metres if found is None else found.metres,
        seconds=None if found is None else found.seconds,
        threshold=None if parameters is None else parameters.same_cosine,
        reason=reason,
    )

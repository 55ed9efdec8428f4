"""Gives the boxes of a set to the people known, and moves people to where their boxes say."""

import numpy as np
from scipy.special import gammaincinv

from plugins.frames import NS_PER_S
from plugins.tracking import kalman
from plugins.tracking.appearance import log_likelihood
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.evidence import (
    learn_behind,
    learn_biases,
    learn_detection,
    weigh_existence,
)
from plugins.tracking.exchanges import exchange
from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.joint import Matched, Sight, match_jointly
from plugins.tracking.matching import Link, doubt, prior
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked
from plugins.tracking.results import IdentityDecision
from plugins.tracking.scenery import Scenery, Whereabouts
from plugins.tracking.sight import EDGES
from plugins.tracking.swaps import follow
from plugins.tracking.tracklets import Tracklet
from plugins.tracking.trajectories import slowed
from plugins.tracking.unmixing import unmix

# Unseen for so long, whoever comes from there may be somebody else.
_OUT_OF_SIGHT_NS = NS_PER_S // 2


def gate(freedom: int, parameters: TrackingParameters) -> float:
    """Largest squared Mahalanobis distance that is the same person's: the quantile of the
    chi-squared distribution.
    """
    return 2.0 * float(gammaincinv(freedom / 2, parameters.gate_probability))


def settle(
    state: IdentityState,
    views: list[View],
    active: list[Person],
    looks: Looks,
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> tuple[list[Matched], list[IdentityDecision]]:
    """Decides on all tracklets given the people predicted to this moment."""
    numbers = [p.number for p in active]
    ratios = _compared(state, looks, numbers, parameters)
    sights, where = [], Whereabouts.of(active, dt_s, parameters)
    # A person who may not exist gets no box that one who surely does could have had.
    handicap = np.clip([p.existence for p in active], -2.0, None)[:, None]
    for view in views:
        links = _links(state, view)
        doubt(links, view.boxes_xyxy, dt_s, parameters)
        _look(view, links, looks, ratios)
        bias = state.biases.setdefault(view.camera_id, np.zeros((3, EDGES)))
        odds = prior(links, numbers, parameters) + handicap
        usual = np.array([parameters.detection, parameters.hidden_loss])
        detection = state.detection.setdefault(view.camera_id, usual)
        scenery = state.scenery.setdefault(view.camera_id, Scenery(view.camera_id))
        behind = scenery.behind(where, parameters)
        sights.append(Sight(view.plane, view.edges, odds, bias, detection, behind))
    if not active:
        return [], []
    mean, cov = stacked(active)
    matched = match_jointly(
        sights, mean, cov, gate(EDGES, parameters), dt_s=dt_s, parameters=parameters
    )
    matched = unmix(sights, matched, mean, cov)
    information = sum((m.information for m in matched), np.zeros((len(active), EDGES, EDGES)))
    weighted = sum((m.weighted for m in matched), np.zeros((len(active), EDGES)))
    state.stories = follow(
        state.stories,
        active,
        information,
        weighted,
        _alike(views, matched, looks, ratios, people=len(numbers), parameters=parameters),
        time_ns=state.time_ns,
        dt_s=dt_s,
        parameters=parameters,
    )
    _correct(active, mean, cov, information, weighted, parameters=parameters)
    for row in {row for m in matched for row in m.people.tolist()}:
        if state.time_ns - active[row].seen_ns >= _OUT_OF_SIGHT_NS:
            active[row].back_ns = state.time_ns
        active[row].seen_ns = state.time_ns
    weigh_existence(active, views, matched, dt_s, parameters)
    learn_behind(state, views, where, matched, dt_s=dt_s, parameters=parameters)
    learn_biases(state, views, matched, dt_s, parameters)
    learn_detection(state, views, active, matched, dt_s=dt_s, parameters=parameters)
    decisions = []
    for view, m in zip(views, matched, strict=True):
        decisions += _assign(state, view, m, active, dt_s=dt_s, parameters=parameters)
    return matched, decisions + exchange(state, parameters)


def _links(state: IdentityState, view: View) -> list[Link]:
    return [state.link(view.camera_id, t.track_id) for t in view.tracklets]


def _compared(
    state: IdentityState, looks: Looks, numbers: list[int], parameters: TrackingParameters
) -> dict[tuple[str, int], dict[int, float]]:
    """What each look of the set says of each of some people, as log-likelihood ratio."""
    if not looks:
        return {}
    vectors = np.stack([look.vector for look in looks.values()])
    ratios = log_likelihood(state.gallery.cosines(vectors, numbers), parameters).tolist()
    return {
        key: dict(zip(numbers, row, strict=True)) for key, row in zip(looks, ratios, strict=True)
    }


def _look(
    view: View,
    links: list[Link],
    looks: Looks,
    ratios: dict[tuple[str, int], dict[int, float]],
) -> None:
    for tracklet, link in zip(view.tracklets, links, strict=True):
        key = (view.camera_id, tracklet.track_id)
        if key in looks:
            link.look = looks[key]
            link.appearance, link.fade = ratios[key], 1.0


def _alike(
    views: list[View],
    matched: list[Matched],
    looks: Looks,
    ratios: dict[tuple[str, int], dict[int, float]],
    *,
    people: int,
    parameters: TrackingParameters,
) -> FloatArray:
    """How much what was seen of each person (N) now looks like each (N), as log-likelihood ratio;
    zero for people of whom there is no new and telling crop.
    """
    told = np.zeros((people, people))
    for view, m in zip(views, matched, strict=True):
        for person, box in zip(m.people.tolist(), m.boxes.tolist(), strict=True):
            key = (view.camera_id, view.tracklets[box].track_id)
            if key in looks and looks[key].quality >= parameters.min_crop_quality:
                told[person] += list(ratios[key].values())
    return told


def _correct(
    active: list[Person],
    mean: FloatArray,
    cov: FloatArray,
    information: FloatArray,
    weighted: FloatArray,
    *,
    parameters: TrackingParameters,
) -> None:
    mean, cov = kalman.fuse(mean, cov, information, weighted)
    mean = slowed(mean, parameters.max_speed_mps)
    for row, person in enumerate(active):
        person.mean, person.cov = mean[row], cov[row]


def _assign(
    state: IdentityState,
    view: View,
    m: Matched,
    active: list[Person],
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> list[IdentityDecision]:
    number_of = {
        b: active[p].number for p, b in zip(m.people.tolist(), m.boxes.tolist(), strict=True)
    }
    ratio_of = dict(zip(m.boxes.tolist(), m.ratio.tolist(), strict=True))
    taken = set(number_of.values())
    _free_unseen(state, view, taken)
    decisions: list[IdentityDecision | None] = []
    for row, tracklet in enumerate(view.tracklets):
        link = state.link(view.camera_id, tracklet.track_id)
        if row in number_of:
            decisions.append(
                _take(state, view, row, link, number=number_of[row], ratio=ratio_of[row])
            )
        elif link.person is not None and state.people.persons[link.person].has_place:
            link.strained_s += dt_s
            if link.strained_s >= parameters.split_after_s or link.person in taken:
                decisions.append(_part(state, view, tracklet, link))
        elif link.person is not None:
            state.people.persons[link.person].seen_ns = state.time_ns
    return [decision for decision in decisions if decision is not None]


def _free_unseen(state: IdentityState, view: View, taken: set[int]) -> None:
    """A tracklet not seen now gives its person up to one that is."""
    seen = {t.track_id for t in view.tracklets}
    for track_id, link in state.links.get(view.camera_id, {}).items():
        if track_id not in seen and link.person in taken:
            link.person = None


def _take(
    state: IdentityState, view: View, row: int, link: Link, *, number: int, ratio: float
) -> IdentityDecision | None:
    before = link.person
    link.join(number)
    if before == number:
        return None
    person = state.people.persons[number]
    place = view.place_m(row)
    return IdentityDecision(
        camera_id=view.camera_id,
        track_id=view.tracklets[row].track_id,
        global_id=person.global_id,
        other_global_id=None if before is None else state.people.persons[before].global_id,
        verdict="joined" if before is None else "switched",
        metres=None if place is None else float(np.linalg.norm(place - person.mean[:2])),
        log_likelihood=ratio,
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
        reason="no longer stands where this person is",
    )

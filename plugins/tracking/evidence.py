"""What found and missed boxes teach: who exists, and how each camera errs."""

import math

import numpy as np

from plugins.tracking.camera_plane import BoolArray, FloatArray
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.joint import Matched
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person
from plugins.tracking.scenery import Whereabouts
from plugins.tracking.sight import LARGEST_BIAS

_MOST_EXISTENCE = 6.0
_REAL_EXISTENCE = 1.0
_LARGEST_RESIDUAL = 0.2
_BIAS_DECAY, _BIAS_GAIN = np.array([0.2, 0.1, 0.1]), np.array([1.0, 2.0, 2.0])
# Whoever is hidden more than this is guessed by the detector, and tells nothing of the camera.
_IN_VIEW = 0.3
_SURE_EXISTENCE = 3.0
_WHOLLY_INSIDE = 0.95
_LEAST_RATE, _MOST_RATE = np.array([0.4, 0.2]), np.array([0.98, 1.0])


def weigh_existence(
    active: list[Person],
    views: list[View],
    matched: list[Matched],
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """Each camera's box, or lack of one where one was likely, tells whether a person is there: the
    existence of a labelled Bernoulli track (Reuter et al. 2014), kept as log-odds.
    """
    order = np.lexsort(([-p.number for p in active], [p.existence for p in active])).argsort()
    told = np.zeros((len(active), len(matched)))
    for m, by_camera in zip(matched, told.T, strict=True):
        missed = ~m.has_box
        # A box that somebody stronger without one could have had says little for who has it.
        rivals = missed[:, None] & (order[:, None] > order[m.people][None])
        other = np.where(rivals, m.ratios[:, m.boxes], 0.0).max(axis=0, initial=0.0)
        most = parameters.box_evidence
        by_camera[:] = np.where(missed, np.log(1.0 - m.detection), 0.0)
        by_camera[m.people] = np.clip(m.ratio - other, -most, most)
    told *= min(1.0, dt_s / parameters.existence_s)
    cameras = [view.camera_id for view in views]
    for person, own in zip(active, told, strict=True):
        if not person.is_real:
            own[:] = _news(person, cameras, own, parameters)
    for person, change in zip(active, told.sum(axis=1).tolist(), strict=True):
        person.existence = min(person.existence + change, _MOST_EXISTENCE)
        person.is_real |= person.existence >= _REAL_EXISTENCE


def _news(
    person: Person, cameras: list[str], told: FloatArray, parameters: TrackingParameters
) -> FloatArray:
    """What cameras tell (K,) of somebody who may not exist, no more than each may tell at one
    place: a thing that is taken for a person stays where it is.
    """
    place = float(person.mean[0]), float(person.mean[1])
    if person.told_at_m is None or math.dist(place, person.told_at_m) > parameters.still_m:
        person.told_at_m, person.told = place, {}
    before = np.array([person.told.get(camera_id, 0.0) for camera_id in cameras])
    after = np.minimum(before + told, parameters.still_evidence)
    person.told.update(zip(cameras, after.tolist(), strict=True))
    return np.asarray(after - before)


def learn_behind(
    state: IdentityState,
    views: list[View],
    where: Whereabouts,
    matched: list[Matched],
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """Whom things in the room hide from each camera, by who is missed and who is not."""
    is_sure = _is_sure(where.people)
    for view, m in zip(views, matched, strict=True):
        state.scenery[view.camera_id].learn(
            where, m.seen, m.has_box, is_sure=is_sure, dt_s=dt_s, parameters=parameters
        )


def learn_biases(
    state: IdentityState,
    views: list[View],
    matched: list[Matched],
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """Each camera's boxes err in a way of their own, and differently over its picture: a camera
    may hang a degree off its calibration. Only what several cameras say can tell.
    """
    if not matched:
        return
    count = sum((m.has_box for m in matched), np.zeros(len(matched[0].ratios)))
    for view, m in zip(views, matched, strict=True):
        told = (count[m.people] >= 2) & (m.seen.hidden[m.people] < _IN_VIEW)
        if told.any():
            bias = state.biases[view.camera_id]
            residual = np.clip(m.residual[told], -_LARGEST_RESIDUAL, _LARGEST_RESIDUAL)
            by = m.in_picture[told]
            share = dt_s * len(by) / parameters.bias_s
            # No further than to where the misfit ends, however long the set took.
            share /= max(1.0, share * float((by**2 @ _BIAS_GAIN).mean()))
            change = by.T @ residual / len(by) - _BIAS_DECAY[:, None] * bias
            after = bias + share * _BIAS_GAIN[:, None] * change
            state.biases[view.camera_id] = np.clip(after, -LARGEST_BIAS, LARGEST_BIAS)


def learn_detection(
    state: IdentityState,
    views: list[View],
    active: list[Person],
    matched: list[Matched],
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """How often each camera detects people who surely exist, in full view and behind others: the
    least-mean-squares rule on what was expected and what was found.
    """
    is_sure = _is_sure(active)
    for view, m in zip(views, matched, strict=True):
        told = is_sure & (m.seen.inside >= _WHOLLY_INSIDE)
        if not told.any():
            continue
        rate = state.detection[view.camera_id]
        error = (m.has_box.astype(np.float64) - m.detection)[told]
        share = dt_s / parameters.detection_s
        by = np.stack([np.ones(len(error)), -rate[0] * m.seen.hidden[told]])
        state.detection[view.camera_id] = np.clip(
            rate + share * np.array([1.0, 3.0]) * (by @ error), _LEAST_RATE, _MOST_RATE
        )


def _is_sure(active: list[Person]) -> BoolArray:
    return np.array([p.existence >= _SURE_EXISTENCE for p in active], dtype=bool)

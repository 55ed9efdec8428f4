"""Somebody new who is somebody lost: near enough, soon enough, of the same size.

In the middle of a well-seen room people do not begin. Once a new person is certain to exist, the
chance that a lost one has walked there is held against the chance that somebody arrived.
"""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.identity_state import IdentityState
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked
from plugins.tracking.results import IdentityDecision

_TURN_S = 1.0
_SIZE = slice(2, 4)
_SIZE_SPREAD = np.diag([0.09**2, 0.08**2])
_LOST_S = 0.2
_OVERLAP_S = 1.0


def take_back(state: IdentityState, parameters: TrackingParameters) -> list[IdentityDecision]:
    """Makes new people, now that they surely exist, the lost ones they most likely are."""
    decisions: list[IdentityDecision] = []
    for person in _young(state, parameters):
        person.is_known = True
        lost = [
            p
            for p in state.lost(_LOST_S)
            if p.is_known
            and p.has_place
            and p.born_ns < person.born_ns
            # Two who were seen at once for long are two.
            and p.seen_ns <= person.born_ns + _OVERLAP_S * NS_PER_S
        ]
        if not lost:
            continue
        odds = _log_odds(lost, person, parameters)
        best = lost[int(odds.argmax())]
        if odds.max() < 0 or _looks_different(state, best.number, person, parameters):
            continue
        decisions.append(_taken_back(state, best, person, float(odds.max())))
    return decisions


def _young(state: IdentityState, parameters: TrackingParameters) -> list[Person]:
    """Those who exist and have not for long."""
    since_ns = state.time_ns - int(parameters.reconsider_s * NS_PER_S)
    return [
        p
        for p in state.people.persons.values()
        if p.has_place
        and p.seen_ns == state.time_ns
        and p.existence >= parameters.shown_existence
        and (p.born_ns >= since_ns or not p.is_known)
    ]


def _log_odds(lost: list[Person], new: Person, parameters: TrackingParameters) -> FloatArray:
    """That each of ``lost`` (N,) has become ``new``, against an arrival anywhere."""
    mean, cov = stacked(lost)
    times_ns = np.array([p.time_ns for p in lost])
    gap_s = np.maximum(0, new.time_ns - times_ns) / NS_PER_S
    # Velocity forgets itself in a while (an Ornstein-Uhlenbeck walk).
    drift_s2 = 2 * _TURN_S * (gap_s - _TURN_S * (1 - np.exp(-gap_s / _TURN_S)))
    spread_m2 = parameters.walking_speed_mps**2 * drift_s2 + parameters.position_bias_m**2
    place = cov[:, :2, :2] + new.cov[:2, :2] + np.eye(2) * spread_m2[:, None, None]
    size = cov[:, _SIZE, _SIZE] + new.cov[_SIZE, _SIZE] + np.diag([0.03**2, 0.05**2])
    same = _log_density(mean[:, :2] - new.mean[:2], place)
    same += _log_density(mean[:, _SIZE] - new.mean[_SIZE], size)
    anybody = _log_density(np.zeros(2), 2 * _SIZE_SPREAD + new.cov[_SIZE, _SIZE])
    return np.asarray(same - anybody - np.log(parameters.arrivals_per_m2))


def _log_density(residual: FloatArray, cov: FloatArray) -> FloatArray:
    """Gaussian, of residuals (..., 2) under covariances (..., 2, 2)."""
    # By hand: libraries take long for two by two.
    a, b, d = cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 1]
    x, y = residual[..., 0], residual[..., 1]
    determinant = a * d - b * b
    squared = (d * x * x - 2 * b * x * y + a * y * y) / determinant
    return np.asarray(-0.5 * squared - 0.5 * np.log((2 * np.pi) ** 2 * determinant))


def _looks_different(
    state: IdentityState, lost: int, new: Person, parameters: TrackingParameters
) -> bool:
    first, second = state.gallery.mean(lost), state.gallery.mean(new.number)
    if first is None:
        return False
    # Where there are pictures, place and size alone do not make anybody the same.
    return second is None or float(first @ second) < parameters.same_cosine


def _taken_back(
    state: IdentityState, lost: Person, new: Person, log_odds: float
) -> IdentityDecision:
    camera_id, track_id = state.seen_by(new.number)
    metres = float(np.linalg.norm(lost.mean[:2] - new.mean[:2]))
    seconds = (new.born_ns - lost.seen_ns) / NS_PER_S
    lost.mean, lost.cov, lost.time_ns, lost.seen_ns = new.mean, new.cov, new.time_ns, new.seen_ns
    lost.existence, lost.behind = new.existence, new.behind
    state.rename(lost.number, new.number)
    return IdentityDecision(
        camera_id=camera_id,
        track_id=track_id,
        global_id=lost.global_id,
        other_global_id=new.global_id,
        verdict="merged",
        metres=metres,
        seconds=seconds,
        log_likelihood=log_odds,
        reason="was lost near here a moment ago and is of this size",
    )

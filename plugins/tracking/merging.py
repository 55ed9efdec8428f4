"""One person known twice, each half by other cameras.

For every two people who are close, each set tells for or against there being two: a camera with a
box of each speaks for two; one that should see both and has one box speaks for one; so does
standing at the same place. Merged when the log-odds have said "one" for long enough.
"""

import numpy as np

from plugins.tracking.appearance import log_likelihood
from plugins.tracking.assignment import covered
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.identity_state import IdentityState, Pair, View
from plugins.tracking.joint import Matched
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, pairs_within, stacked
from plugins.tracking.results import IdentityDecision

_TWO_BOXES = 2.5
_SAME_PLACE_M = 0.25
_MOST_APART = 2.5
_BOUND = 6.0


def merge_people(
    state: IdentityState,
    views: list[View],
    active: list[Person],
    matched: list[Matched],
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> list[IdentityDecision]:
    """Merges pairs of the ``active`` people (N) that the cameras show to be one."""
    close = _close(active, state.time_ns, parameters.merge_distance_m)
    share = min(1.0, dt_s / parameters.merge_after_s)
    evidence = {}
    for a, b in close:
        pair = _pair(active[a], active[b])
        told = _two_or_one(views, matched, a, b)
        told -= _alike(_cosine(state, pair), parameters)
        told += 0.5 * min(_distance_m(active[a], active[b]) / _SAME_PLACE_M, _MOST_APART) ** 2
        before = state.together.get(pair, 0.0)
        evidence[pair] = float(np.clip(before + share * told, -_BOUND, _BOUND))
    # Who parted is two for certain, for a while.
    for pair, told in state.together.items():
        if pair not in evidence and told > 0:
            evidence[pair] = told * float(np.exp(-dt_s / 10.0))
    state.together = evidence
    decisions = []
    for pair in [p for p, told in evidence.items() if told <= parameters.merge_evidence]:
        # An earlier merge may have ended one of the two.
        if pair not in state.together or _looks_different(_cosine(state, pair), parameters):
            continue
        decisions.append(_merge(state, pair, state.seen_by(pair[1]), parameters))
    return decisions


def _close(active: list[Person], time_ns: int, within_m: float) -> list[Pair]:
    """Rows of people seen in this set who are near each other."""
    a, b = pairs_within(stacked(active)[0], within_m)
    seen = [p.seen_ns == time_ns for p in active]
    return [(i, j) for i, j in zip(a.tolist(), b.tolist(), strict=True) if seen[i] and seen[j]]


def _pair(a: Person, b: Person) -> Pair:
    return min(a.number, b.number), max(a.number, b.number)


def _distance_m(a: Person, b: Person) -> float:
    return float(np.linalg.norm(a.mean[:2] - b.mean[:2]))


def _two_or_one(views: list[View], matched: list[Matched], a: int, b: int) -> float:
    """Log-odds of two people at rows ``a`` and ``b``, by who has a box in which camera."""
    told = 0.0
    for view, m in zip(views, matched, strict=True):
        boxes = dict(zip(m.people.tolist(), m.boxes.tolist(), strict=True))
        if a in boxes and b in boxes:
            told += _TWO_BOXES * (1.0 - _nested(view, boxes[a], boxes[b]))
        elif a in boxes or b in boxes:
            missing = b if a in boxes else a
            # Two halves of one person are each missed where the other is seen: no thing hides them.
            told += float(np.log(1.0 - m.seen.in_sight[missing]))
    return told


def _nested(view: View, a: int, b: int) -> float:
    """How much of the smaller of two boxes lies within the other, from half of it on: 0..1."""
    pair: FloatArray = view.boxes_xyxy[[a, b]]
    shared = float(covered(pair, pair)[[0, 1], [1, 0]].max())
    return min(1.0, max(0.0, 2.0 * shared - 1.0))


def _cosine(state: IdentityState, pair: Pair) -> float | None:
    first, second = state.gallery.mean(pair[0]), state.gallery.mean(pair[1])
    if first is None or second is None:
        return None
    return float(first @ second)


def _looks_different(cosine: float | None, parameters: TrackingParameters) -> bool:
    return cosine is not None and cosine < parameters.different_cosine


def _alike(cosine: float | None, parameters: TrackingParameters) -> float:
    return 0.0 if cosine is None else float(log_likelihood(np.array(cosine), parameters))


def _merge(
    state: IdentityState, pair: Pair, seen_by: tuple[str, int], parameters: TrackingParameters
) -> IdentityDecision:
    kept, dropped = (state.people.persons[n] for n in pair)
    cosine = _cosine(state, pair)
    told = state.together[pair]
    state.rename(kept.number, dropped.number)
    return IdentityDecision(
        camera_id=seen_by[0],
        track_id=seen_by[1],
        global_id=kept.global_id,
        other_global_id=dropped.global_id,
        verdict="merged",
        cosine=cosine,
        metres=_distance_m(kept, dropped),
        threshold=None if cosine is None else parameters.different_cosine,
        log_likelihood=told,
        reason="at one place, and no camera shows them as two",
    )

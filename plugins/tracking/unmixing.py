"""Undoes what deciding camera by camera cannot: two people's boxes dealt out the wrong way round.

When two people pass each other, some cameras may give a box of the one to the other; their states
then meet in between, and every single camera agrees with what the rest has found. So for every two
who are near, all ways of exchanging their boxes, in any of the cameras that have one of each, are
compared by what the boxes together say of both.
"""

from itertools import product

import numpy as np

from plugins.tracking import kalman
from plugins.tracking.assignment import IntArray
from plugins.tracking.camera_plane import BoolArray, FloatArray
from plugins.tracking.joint import Matched, Sight
from plugins.tracking.people import pairs_within

_MOST_CAMERAS = 5
_NEAR_M = 1.0
_IMPOSSIBLE = 1e6
# Log-odds from which the boxes are exchanged.
_CLEARLY = 2.0


def unmix(
    sights: list[Sight], matched: list[Matched], mean: FloatArray, cov: FloatArray
) -> list[Matched]:
    """``matched`` with the boxes of near people exchanged where that is likelier. People are
    predicted as ``mean`` (N, 6) and ``cov`` (N, 6, 6).
    """
    a, b = pairs_within(mean, _NEAR_M)
    if not len(a):
        return matched
    ways = _ways(len(matched))
    told = ways @ _exchange_gains(sights, matched, a, b)
    told += _told(matched, mean, cov, (a, b), ways)
    best = told.argmax(axis=0)
    gain = told[best, range(len(a))]
    busy: set[int] = set()
    for i in np.argsort(-gain, kind="stable").tolist():
        pair = int(a[i]), int(b[i])
        if gain[i] < _CLEARLY or busy & {*pair}:
            continue
        busy |= {*pair}
        for k in np.flatnonzero(ways[best[i]]).tolist():
            matched[k] = _exchanged(matched[k], *pair)
    return matched


def _ways(cameras: int) -> BoolArray:
    """In which cameras (W, K) boxes may be exchanged; the first way leaves all as it is."""
    if cameras <= _MOST_CAMERAS:
        return np.array(list(product([False, True], repeat=cameras)), dtype=bool)
    return np.concatenate([np.zeros((1, cameras), bool), np.eye(cameras, dtype=bool)])


def _told(
    matched: list[Matched],
    mean: FloatArray,
    cov: FloatArray,
    pairs: tuple[IntArray, IntArray],
    ways: BoolArray,
) -> FloatArray:
    """Log-likelihood (W, Q) of each way of dealing out the boxes of pairs, less the first's."""
    a, b = pairs
    information = np.stack([m.information for m in matched])
    weighted = np.stack([m.weighted for m in matched])
    moved = np.tensordot(ways.astype(np.float64), information[:, b] - information[:, a], 1)
    pulled = np.tensordot(ways.astype(np.float64), weighted[:, b] - weighted[:, a], 1)
    whole, pull = information.sum(axis=0), weighted.sum(axis=0)
    told = kalman.log_evidence(mean[a], cov[a], whole[a] + moved, pull[a] + pulled)
    told += kalman.log_evidence(mean[b], cov[b], whole[b] - moved, pull[b] - pulled)
    return np.asarray(told - told[0])


def _exchange_gains(
    sights: list[Sight], matched: list[Matched], a: IntArray, b: IntArray
) -> FloatArray:
    """What else (K, Q) speaks for exchanging the boxes of pairs in each camera."""
    gains = np.zeros((len(matched), len(a)))
    for k, (sight, m) in enumerate(zip(sights, matched, strict=True)):
        odds = sight.prior + np.log(m.detection / (1.0 - m.detection))[:, None]
        # One more column for who has no box.
        odds = np.column_stack([odds, np.zeros(len(odds))])
        box = np.full(len(odds), -1)
        box[m.people] = m.boxes
        gains[k] = odds[a, box[b]] + odds[b, box[a]] - odds[a, box[a]] - odds[b, box[b]]
        gains[k][(box[a] < 0) | (box[b] < 0)] = -_IMPOSSIBLE
    return gains


def _exchanged(m: Matched, a: int, b: int) -> Matched:
    """With the boxes of two people exchanged."""
    order = np.arange(len(m.ratios))
    order[[a, b]] = b, a
    # What was measured against the other one tells nothing of how the camera errs.
    changed = np.isin(m.people, (a, b))
    return Matched(
        order[m.people],
        m.boxes,
        m.ratios,
        np.where(changed[:, None], 0.0, m.residual),
        m.in_picture,
        m.information[order],
        m.weighted[order],
        m.seen,
    )

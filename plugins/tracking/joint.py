"""Whose box is whose: one decision over all cameras of a set.

Every camera's boxes are matched with the predicted people (one Hungarian assignment each); then
each camera is decided again, given what all the others found, until nothing changes: coordinate
ascent on the joint likelihood. Missed, hidden and false boxes enter through the chance of detection
and a uniform density of boxes that are nobody's (Bar-Shalom & Li 1995, section 6.2).
"""

from dataclasses import dataclass

import numpy as np

from plugins.tracking.assignment import IntArray, assign
from plugins.tracking.camera_plane import BoolArray, CameraPlane, FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.sight import (
    EDGES,
    FOOT,
    HEAD,
    Boxes,
    Expected,
    Visibility,
    expect,
    misfit,
    visibility,
)

_SWEEPS = 2
# Beyond this squared distance a pair counts less: real errors have longer tails than Gauss's.
_ROBUST = 6.0
# A box that ends above the feet ends anywhere within this share of the person's height.
_HIDDEN_SPAN = 0.5
_NOTHING = 1e4
_ABSURD_PX = 1e6


@dataclass(frozen=True, slots=True)
class Sight:
    """One camera's boxes of this set (M). ``prior`` (N, M) is what else speaks for each person, as
    a log-likelihood ratio: that the tracklet was theirs, that the looks are alike. ``bias`` (4,)
    and ``detection`` (2,) are as in ``sight.py``.
    """

    plane: CameraPlane
    boxes: Boxes
    prior: FloatArray
    bias: FloatArray
    detection: FloatArray


@dataclass(frozen=True, slots=True)
class Fit:
    """How well boxes (M) fit people (N); all (N, M). ``ratio`` log-likelihood ratio to a box that
    is nobody's, ``squared`` Mahalanobis distance, ``feet_seen`` chance that the box ends at feet.
    """

    ratio: FloatArray
    squared: FloatArray
    feet_seen: FloatArray


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows of people and of boxes that belong together in one camera, and how sure that is.

    ``information`` (N, 4, 4) and ``weighted`` (N, 4) are what the camera adds to people's states,
    zero where it has no box of them. ``ratios`` (N, M) are the log-likelihood ratios of all pairs
    to a false box, ``ratio`` (K,) those of the matched ones. ``residual`` (K, 4) is their misfit as
    a share of the person's height in the picture. ``seen`` is how well the camera sees each (N).
    """

    people: IntArray
    boxes: IntArray
    ratios: FloatArray
    residual: FloatArray
    information: FloatArray
    weighted: FloatArray
    seen: Visibility

    @property
    def detection(self) -> FloatArray:
        """The chance (N,) that each is detected."""
        return self.seen.detection

    @property
    def ratio(self) -> FloatArray:
        """Log-likelihood ratios (K,) of the pairs."""
        return self.ratios[self.people, self.boxes]

    @property
    def has_box(self) -> BoolArray:
        """Who (N,) has a box here."""
        found = np.zeros(len(self.ratios), dtype=bool)
        found[self.people] = True
        return found


def match_jointly(
    sights: list[Sight],
    mean: FloatArray,
    cov: FloatArray,
    max_squared: float,
    *,
    dt_s: float,
    parameters: TrackingParameters,
) -> list[Matched]:
    """Matches people, predicted as ``mean`` (N, 6) and ``cov`` (N, 6, 6), with all boxes whose
    squared Mahalanobis distance is at most ``max_squared``.
    """

    def match(k: int, mean: FloatArray, cov: FloatArray) -> Matched:
        return _match(
            sights[k], seen[k], mean, cov, max_squared=max_squared, dt_s=dt_s, parameters=parameters
        )

    seen = [visibility(mean[:, :EDGES], sight.plane, sight.detection) for sight in sights]
    matched = [match(k, mean, cov) for k in range(len(sights))]
    precision = np.asarray(np.linalg.inv(cov), np.float64)
    vector = (precision @ mean[..., None])[..., 0]
    for _ in range(_SWEEPS):
        before = list(matched)
        for k in range(len(sights)):
            others = [m for i, m in enumerate(matched) if i != k]
            matched[k] = match(k, *_given(precision, vector, others))
        if all(_is_same(a, b) for a, b in zip(before, matched, strict=True)):
            break
    return matched


def _is_same(a: Matched, b: Matched) -> bool:
    return np.array_equal(a.people, b.people) and np.array_equal(a.boxes, b.boxes)


def _given(
    precision: FloatArray, vector: FloatArray, others: list[Matched]
) -> tuple[FloatArray, FloatArray]:
    """People's states when the ``others`` are right."""
    total, weighted = precision.copy(), vector.copy()
    for m in others:
        total[:, :EDGES, :EDGES] += m.information
        weighted[:, :EDGES] += m.weighted
    cov = np.asarray(np.linalg.inv(total), np.float64)
    return (cov @ weighted[..., None])[..., 0], cov


def _match(
    sight: Sight,
    seen: Visibility,
    mean: FloatArray,
    cov: FloatArray,
    *,
    max_squared: float,
    dt_s: float,
    parameters: TrackingParameters,
) -> Matched:
    people = mean[:, :EDGES]
    expected = expect(people, sight.plane, sight.bias, seen.hidden, parameters)
    e = np.nan_to_num(misfit(sight.boxes, expected), nan=_ABSURD_PX)
    fit = _fit(
        e,
        sight.boxes.foot_px2,
        cov[:, :EDGES, :EDGES],
        expected,
        seen=seen,
        parameters=parameters,
    )
    gain = np.where(fit.squared <= max_squared, fit.ratio + sight.prior, -np.inf)
    rows, columns = assign(gain, 0.0)
    R = expected.noise[rows]
    R[:, FOOT, FOOT] += sight.boxes.foot_px2[columns]
    R = R * max(1.0, parameters.correlation_s / max(dt_s, 1e-3))
    R = R * np.maximum(1.0, fit.squared[rows, columns] / _ROBUST)[:, None, None]
    is_cut = sight.boxes.is_cut[columns]
    R[:, HEAD, HEAD] *= np.where(is_cut[:, HEAD], _NOTHING, 1.0)
    R[:, FOOT, FOOT] *= np.where(
        is_cut[:, FOOT], _NOTHING, 1.0 / np.maximum(fit.feet_seen[rows, columns], 1.0 / _NOTHING)
    )
    information = np.zeros((len(people), EDGES, EDGES))
    weighted = np.zeros((len(people), EDGES))
    J = expected.J[rows]
    by = J.swapaxes(1, 2) @ np.linalg.inv(R)
    information[rows] = by @ J
    target = e[rows, columns] + (J @ people[rows][..., None])[..., 0]
    weighted[rows] = (by @ target[..., None])[..., 0]
    residual = e[rows, columns] / expected.size_px[rows, None]
    return Matched(rows, columns, fit.ratio, residual, information, weighted, seen)


def _fit(
    e: FloatArray,
    foot_px2: FloatArray,
    cov: FloatArray,
    expected: Expected,
    *,
    seen: Visibility,
    parameters: TrackingParameters,
) -> Fit:
    """Of misfits (N, M, 4) in pixels. A box either ends at the feet, or anywhere above them.

    ``foot_px2`` (M,) is as in ``sight.py``.
    """
    J = np.nan_to_num(expected.J)
    S = J @ cov @ J.swapaxes(1, 2) + expected.noise
    white = np.linalg.inv(np.linalg.cholesky(S))
    z = e @ white.swapaxes(1, 2)
    # Densities are per edge and person's height, so that near and far people compare.
    log_scale = np.log(np.diagonal(white, axis1=1, axis2=2) * expected.size_px[:, None])
    log_scale -= 0.5 * np.log(2 * np.pi)
    squared = (z[..., :FOOT] ** 2).sum(axis=2)
    upper = log_scale[:, :FOOT].sum(axis=1)[:, None] - 0.5 * squared
    # The bottom is the last edge, so that its own noise widens its whitened misfit alone.
    wider = 1.0 + foot_px2 * white[:, FOOT, FOOT, None] ** 2
    z_foot = z[..., FOOT] / np.sqrt(wider)
    at_feet = log_scale[:, FOOT, None] - 0.5 * (z_foot**2 + np.log(wider))
    at_feet += np.log(1.0 - seen.feet_hidden)[:, None]
    above = np.log(seen.feet_hidden / _HIDDEN_SPAN)[:, None]
    lower = np.logaddexp(at_feet, np.where(z_foot < 1.0, above, -np.inf))
    feet_seen = np.exp(at_feet - lower)
    odds = np.log(seen.detection / (1.0 - seen.detection))[:, None]
    ratio = parameters.box_space + odds + upper + lower
    return Fit(ratio, squared + feet_seen * z_foot**2, feet_seen)

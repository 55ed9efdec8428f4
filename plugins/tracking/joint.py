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
    Projected,
    Visibility,
    diagonal,
    expect,
    misfit,
    project,
    visibility,
)

_SWEEPS = 2
# Beyond this squared distance a pair counts less: real errors have longer tails than Gauss's.
_ROBUST = 6.0
# A box that ends above the feet ends anywhere within this share of the person's height.
_HIDDEN_SPAN = 0.5
_NOTHING = 1e4
_ABSURD_PX = 1e6
_LOG_SQRT_2_PI = 0.5 * float(np.log(2 * np.pi))


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
    people, cov = mean[:, :EDGES], cov[:, :EDGES, :EDGES]
    shown = [project(people, sight.plane) for sight in sights]
    seen = [visibility(p, s.plane, s.detection) for p, s in zip(shown, sights, strict=True)]

    def match(k: int, people: FloatArray, cov: FloatArray, projected: Projected) -> Matched:
        expected = expect(projected, sights[k].bias, seen[k].hidden, parameters)
        return _match(
            sights[k],
            seen[k],
            people,
            cov,
            expected,
            max_squared=max_squared,
            dt_s=dt_s,
            parameters=parameters,
        )

    matched = [match(k, people, cov, projected) for k, projected in enumerate(shown)]
    precision = np.asarray(np.linalg.inv(cov), np.float64)
    vector = (precision @ people[..., None])[..., 0]
    for _ in range(_SWEEPS):
        before = list(matched)
        for k, sight in enumerate(sights):
            others = [m for i, m in enumerate(matched) if i != k]
            given, given_cov = _given(precision, vector, others)
            matched[k] = match(k, given, given_cov, project(given, sight.plane))
        if all(_is_same(a, b) for a, b in zip(before, matched, strict=True)):
            break
    return matched


def _is_same(a: Matched, b: Matched) -> bool:
    return np.array_equal(a.people, b.people) and np.array_equal(a.boxes, b.boxes)


def _given(
    precision: FloatArray, vector: FloatArray, others: list[Matched]
) -> tuple[FloatArray, FloatArray]:
    """People (N, 4) and their covariances when the ``others`` are right."""
    total, weighted = precision.copy(), vector.copy()
    for m in others:
        total += m.information
        weighted += m.weighted
    cov = np.asarray(np.linalg.inv(total), np.float64)
    return (cov @ weighted[..., None])[..., 0], cov


def _match(
    sight: Sight,
    seen: Visibility,
    people: FloatArray,
    cov: FloatArray,
    expected: Expected,
    *,
    max_squared: float,
    dt_s: float,
    parameters: TrackingParameters,
) -> Matched:
    e = misfit(sight.boxes, expected)
    np.copyto(e, _ABSURD_PX, where=np.isnan(e))
    fit = _fit(e, sight.boxes.foot_px2, cov, expected, seen=seen, parameters=parameters)
    gain = np.where(fit.squared <= max_squared, fit.ratio + sight.prior, -np.inf)
    rows, columns = assign(gain, 0.0)
    e, J = e[rows, :, columns], expected.J[rows]
    R = _noise(sight.boxes, expected, fit, rows, columns)
    R *= max(1.0, parameters.correlation_s / max(dt_s, 1e-3))
    by = J.swapaxes(1, 2) @ np.linalg.inv(R)
    target = e[..., None] + J @ people[rows][..., None]
    information = np.zeros((len(people), EDGES, EDGES))
    weighted = np.zeros((len(people), EDGES))
    information[rows] = by @ J
    weighted[rows] = (by @ target)[..., 0]
    residual = e / expected.size_px[rows, None]
    return Matched(rows, columns, fit.ratio, residual, information, weighted, seen)


def _noise(
    boxes: Boxes, expected: Expected, fit: Fit, rows: IntArray, columns: IntArray
) -> FloatArray:
    """Covariance (K, 4, 4) of the edges of matched boxes: large for those that tell little."""
    R = expected.noise(rows)
    edges = diagonal(R)
    edges[:, FOOT] += boxes.foot_px2[columns]
    R *= np.maximum(1.0, fit.squared[rows, columns] / _ROBUST)[:, None, None]
    is_cut = boxes.is_cut[columns]
    edges[:, HEAD] *= np.where(is_cut[:, HEAD], _NOTHING, 1.0)
    feet_seen = np.maximum(fit.feet_seen[rows, columns], 1.0 / _NOTHING)
    edges[:, FOOT] *= np.where(is_cut[:, FOOT], _NOTHING, 1.0 / feet_seen)
    return R


def _fit(
    e: FloatArray,
    foot_px2: FloatArray,
    cov: FloatArray,
    expected: Expected,
    *,
    seen: Visibility,
    parameters: TrackingParameters,
) -> Fit:
    """Of misfits (N, 4, M) in pixels. A box either ends at the feet, or anywhere above them.

    ``foot_px2`` (M,) is as in ``sight.py``.
    """
    J, cov = expected.J, cov.copy()
    diagonal(cov)[:, :2] += expected.floor_m2
    S = J @ cov @ J.swapaxes(1, 2)
    diagonal(S)[:] += expected.sigma2_px
    white = np.linalg.inv(np.linalg.cholesky(S))
    z = white @ e
    # Densities are per edge and person's height, so that near and far people compare.
    log_scale = np.log(diagonal(white) * expected.size_px[:, None]) - _LOG_SQRT_2_PI
    squared = (z[:, :FOOT] ** 2).sum(axis=1)
    # The bottom is the last edge, so that its own noise widens its whitened misfit alone.
    wider = 1.0 + foot_px2 * white[:, FOOT, FOOT, None] ** 2
    z2_foot = z[:, FOOT] ** 2 / wider
    feet_hidden = seen.feet_hidden
    known = log_scale[:, FOOT] + np.log(1.0 - feet_hidden)
    at_feet = known[:, None] - 0.5 * (z2_foot + np.log(wider))
    above = np.log(feet_hidden / _HIDDEN_SPAN)[:, None]
    # No further below the feet than one standard deviation.
    lower = np.logaddexp(at_feet, np.where(z[:, FOOT] < np.sqrt(wider), above, -np.inf))
    feet_seen = np.exp(at_feet - lower)
    odds = parameters.box_space + np.log(seen.detection / (1.0 - seen.detection))
    upper = odds + log_scale[:, :FOOT].sum(axis=1)
    ratio = upper[:, None] - 0.5 * squared + lower
    return Fit(ratio, squared + feet_seen * z2_foot, feet_seen)

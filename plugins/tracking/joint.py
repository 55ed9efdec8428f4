"""Whose box is whose: one decision over all cameras of a set.

Every camera's boxes are matched with the predicted people (one Hungarian assignment each); then all
cameras are decided again, each given what the others have found, and those that change by it once
more, one after the other. Missed, hidden and false boxes enter through the chance of detection and
a uniform density of boxes that are nobody's (Bar-Shalom & Li 1995, section 6.2).
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
    Optics,
    Projected,
    Visibility,
    diagonal,
    expect,
    misfit,
    optics,
    project,
    visibility,
)

_SWEEPS = 2
# Beyond this squared distance a pair counts less: real errors have longer tails than Gauss's.
_ROBUST = 6.0
# A box that ends above the feet ends anywhere within this share of the person's height.
_HIDDEN_SPAN = 0.5
_NOTHING = 1e4
# The log-likelihood ratio of pairs that nothing speaks for.
_FAR_APART = -100.0
# From this chance on that a box ends at the feet, it tells how a camera errs there.
_FEET_SEEN = 0.5
_ABSURD_PX = 1e6
_LOG_SQRT_2_PI = 0.5 * float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Sight:
    """One camera's boxes of this set (M). ``prior`` (N, M) is what else speaks for each person, as
    a log-likelihood ratio: that the tracklet was theirs, that the looks are alike. ``bias`` (3, 4),
    ``detection`` (2,) and ``behind`` (N,) are as in ``sight.py``.
    """

    plane: CameraPlane
    boxes: Boxes
    prior: FloatArray
    bias: FloatArray
    detection: FloatArray
    behind: FloatArray


@dataclass(frozen=True, slots=True)
class _Sights:
    """Those of cameras (K) together: ``prior`` (K, N, M), ``bias`` (K, 3, 4), ``detection`` (K, 2),
    ``behind`` (K, N).
    """

    cameras: Optics
    boxes: Boxes
    prior: FloatArray
    bias: FloatArray
    detection: FloatArray
    behind: FloatArray

    @classmethod
    def of(cls, sights: list[Sight]) -> "_Sights":
        """Boxes that a camera does not have fit nobody."""
        boxes = Boxes.of_all([sight.boxes for sight in sights])
        prior = np.full((len(sights), len(sights[0].prior), boxes.edges_px.shape[1]), -np.inf)
        for k, sight in enumerate(sights):
            prior[k, :, : len(sight.boxes)] = sight.prior
        return cls(
            optics(tuple(sight.plane for sight in sights)),
            boxes,
            prior,
            np.stack([sight.bias for sight in sights]),
            np.stack([sight.detection for sight in sights]),
            np.stack([sight.behind for sight in sights]),
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """How well boxes (M) fit people (N) in cameras (K); all (K, N, M). ``ratio`` log-likelihood
    ratio to a box that is nobody's, ``squared`` Mahalanobis distance, ``feet_seen`` chance that the
    box ends at feet.
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
    a share of the person's height in the picture, zero for edges that are not seen; ``in_picture``
    (K, 3) is as in ``sight.py``. ``seen`` is how well the camera sees each (N).
    """

    people: IntArray
    boxes: IntArray
    ratios: FloatArray
    residual: FloatArray
    in_picture: FloatArray
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
    if not sights:
        return []
    together = _Sights.of(sights)
    shown = project(people, together.cameras)
    seen = visibility(shown, together.cameras, together.detection, together.behind)
    scale = max(1.0, parameters.correlation_s / max(dt_s, 1e-3))

    def match(people: FloatArray, cov: FloatArray, shown: Projected) -> list[Matched]:
        return _match(
            together,
            seen,
            expect(shown, together.cameras, together.bias, seen.hidden, parameters),
            people,
            cov,
            max_squared=max_squared,
            noise_scale=scale,
            box_space=parameters.box_space,
        )

    matched = match(people, cov, shown)
    precision = np.asarray(np.linalg.inv(cov), np.float64)
    vector = (precision @ people[..., None])[..., 0]

    def again(matched: list[Matched]) -> list[Matched]:
        given, given_cov = _given(precision, vector, matched)
        return match(given, given_cov, project(given, together.cameras))

    for _ in range(_SWEEPS):
        before, matched = matched, again(matched)
        changed = [k for k in range(len(sights)) if not _is_same(before[k], matched[k])]
        if not changed:
            break
        if len(changed) > 1:
            # Two that change at once may go past each other: one after the other, then.
            for k in changed:
                matched[k] = before[k]
            for k in changed:
                matched[k] = again(matched)[k]
    return matched


def _is_same(a: Matched, b: Matched) -> bool:
    return np.array_equal(a.people, b.people) and np.array_equal(a.boxes, b.boxes)


def _given(
    precision: FloatArray, vector: FloatArray, matched: list[Matched]
) -> tuple[FloatArray, FloatArray]:
    """For each camera, people (K, N, 4) and their covariances when all the others are right."""
    information = np.stack([m.information for m in matched])
    weighted = np.stack([m.weighted for m in matched])
    total = precision + information.sum(axis=0) - information
    pull = vector + weighted.sum(axis=0) - weighted
    cov = np.asarray(np.linalg.inv(total), np.float64)
    return (cov @ pull[..., None])[..., 0], cov


def _match(
    sights: _Sights,
    seen: Visibility,
    expected: Expected,
    people: FloatArray,
    cov: FloatArray,
    *,
    max_squared: float,
    noise_scale: float,
    box_space: float,
) -> list[Matched]:
    """What each camera has of ``people``, given their covariances: (N, 4) and (N, 4, 4), or others
    in each camera (K, N, 4) and (K, N, 4, 4).
    """
    e = misfit(sights.boxes, expected, sights.cameras)
    np.copyto(e, _ABSURD_PX, where=np.isnan(e))
    fit = _fit(
        e,
        sights.boxes.foot_px2,
        cov,
        expected,
        seen=seen,
        max_squared=max_squared,
        box_space=box_space,
    )
    gain = np.where(fit.squared <= max_squared, fit.ratio + sights.prior, -np.inf)
    pairs = [assign(one, 0.0) for one in gain]
    cameras = np.repeat(np.arange(len(pairs)), [len(rows) for rows, _ in pairs])
    rows, columns = (np.concatenate(chosen) for chosen in zip(*pairs, strict=True))
    e, J = e[cameras, rows, :, columns], expected.J[cameras, rows]
    R = noise_scale * _noise(sights.boxes, expected, fit, (cameras, rows, columns))
    by = J.swapaxes(1, 2) @ np.linalg.inv(R)
    people = np.broadcast_to(people, (len(pairs), *people.shape[-2:]))
    target = e[..., None] + J @ people[cameras, rows][..., None]
    weighted = np.zeros(people.shape)
    information = np.zeros((*people.shape, EDGES))
    information[cameras, rows] = by @ J
    weighted[cameras, rows] = (by @ target)[..., 0]
    residual = e / expected.size_px[cameras, rows, None]
    residual[sights.boxes.is_cut[cameras, columns]] = 0.0
    residual[fit.feet_seen[cameras, rows, columns] < _FEET_SEEN, FOOT] = 0.0
    return [
        Matched(
            *pair,
            fit.ratio[k],
            residual[cameras == k],
            expected.in_picture[k, pair[0]],
            information[k],
            weighted[k],
            seen.of(k),
        )
        for k, pair in enumerate(pairs)
    ]


def _noise(
    boxes: Boxes, expected: Expected, fit: Fit, pairs: tuple[IntArray, IntArray, IntArray]
) -> FloatArray:
    """Covariances (R, 4, 4) of the edges of matched boxes, given cameras (R,), people and boxes:
    large for those that tell little.
    """
    cameras, rows, columns = pairs
    R = expected.noise(cameras, rows)
    edges = diagonal(R)
    edges[:, FOOT] += boxes.foot_px2[cameras, columns]
    R *= np.maximum(1.0, fit.squared[pairs] / _ROBUST)[:, None, None]
    is_cut = boxes.is_cut[cameras, columns]
    edges[:, HEAD] *= np.where(is_cut[:, HEAD], _NOTHING, 1.0)
    feet_seen = np.maximum(fit.feet_seen[pairs], 1.0 / _NOTHING)
    edges[:, FOOT] *= np.where(is_cut[:, FOOT], _NOTHING, 1.0 / feet_seen)
    return R


def _fit(
    e: FloatArray,
    foot_px2: FloatArray,
    cov: FloatArray,
    expected: Expected,
    *,
    seen: Visibility,
    max_squared: float,
    box_space: float,
) -> Fit:
    """Of misfits (K, N, 4, M) in pixels. A box either ends at the feet, or anywhere above them.

    ``foot_px2`` (K, M) is as in ``sight.py``.
    """
    J, cov = expected.J, cov.copy()
    diagonal(cov)[..., :2] += expected.floor_m2
    S = J @ cov @ J.swapaxes(-1, -2)
    diagonal(S)[:] += expected.sigma2_px
    white = np.asarray(np.linalg.inv(np.linalg.cholesky(S)), np.float64)
    z = white @ e
    # Densities are per edge and person's height, so that near and far people compare.
    log_scale = np.log(diagonal(white) * expected.size_px[..., None]) - _LOG_SQRT_2_PI
    odds = box_space + np.log(seen.detection / (1.0 - seen.detection))
    upper = odds + log_scale[..., :FOOT].sum(axis=-1)
    known = log_scale[..., FOOT] + np.log(1.0 - seen.feet_hidden)
    above = np.log(seen.feet_hidden / _HIDDEN_SPAN)
    squared = (z[..., :FOOT, :] ** 2).sum(axis=2)
    # Most pairs are too far apart, whatever their feet say.
    limit = np.maximum(max_squared, 2.0 * (upper + np.logaddexp(known, above)))
    fit = Fit(
        np.full(squared.shape, _FAR_APART), np.full(squared.shape, np.inf), np.zeros(squared.shape)
    )
    near = k, n, m = np.nonzero(squared <= limit[..., None])
    # The bottom is the last edge, so that its own noise widens its whitened misfit alone.
    wider = 1.0 + foot_px2[k, m] * white[k, n, FOOT, FOOT] ** 2
    z_foot = z[k, n, FOOT, m]
    z2_foot = z_foot**2 / wider
    at_feet = known[k, n] - 0.5 * (z2_foot + np.log(wider))
    # No further below the feet than one standard deviation.
    lower = np.logaddexp(at_feet, np.where(z_foot < np.sqrt(wider), above[k, n], -np.inf))
    feet_seen = np.exp(at_feet - lower)
    fit.ratio[near] = upper[k, n] - 0.5 * squared[near] + lower
    fit.squared[near] = squared[near] + feet_seen * z2_foot
    fit.feet_seen[near] = feet_seen
    return fit

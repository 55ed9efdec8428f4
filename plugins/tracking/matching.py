"""Which tracklets of one camera could be which people, and which most likely are.

Only people the tracklet can be by its place on the floor are compared; the evidence is averaged
over a short memory so that one odd box changes nothing. Appearance decides among the possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import chi2

from plugins.tracking import kalman
from plugins.tracking.assignment import assign
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.standing import Standing

_WORST_EVIDENCE = -8.0
_MAX_APPEARANCE = 2.0


@dataclass(slots=True)
class Link:
    """What is known of one tracklet's identity: its ``person`` (a number) or None.

    ``evidence`` and ``appearance`` are log-likelihood ratios by person. ``strained_s`` is for how
    long the tracklet has not fitted its person.
    """

    person: int | None = None
    evidence: dict[int, float] = field(default_factory=dict)
    appearance: dict[int, float] = field(default_factory=dict)
    strained_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tracklets (N) of one camera against people (M): log-likelihood ratio to the edge of the
    gate, squared Mahalanobis distance, metres; each (N, M). Unknown places compare as -inf, inf.
    """

    log_ratio: FloatArray
    squared: FloatArray
    metres: FloatArray


def gate(parameters: TrackingParameters) -> float:
    """Largest squared Mahalanobis distance in (x, y, height) that is the same person's."""
    return float(chi2.ppf(parameters.gate_probability, 3))


def compare(
    standing: Standing, mean: FloatArray, cov: FloatArray, max_squared: float
) -> Comparison:
    """How well measured places (N) fit predicted people, ``mean`` (M, 5), ``cov`` (M, 5, 5)."""
    residual = standing.state[:, None, :] - mean[None, :, :3]
    R = np.where(standing.is_valid[:, None, None], standing.cov, np.eye(3))
    S = R[:, None] + cov[None, :, :3, :3]
    squared = kalman.squared_distance(np.nan_to_num(residual), S)
    spread = np.linalg.slogdet(S)[1] - np.linalg.slogdet(R)[1][:, None]
    known = standing.is_valid[:, None]
    return Comparison(
        np.where(known, 0.5 * (max_squared - squared - spread), -np.inf),
        np.where(known, squared, np.inf),
        np.where(known, np.linalg.norm(residual[..., :2], axis=2), np.inf),
    )


def gather(
    links: list[Link],
    comparison: Comparison,
    numbers: list[int],
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """Averages this set's comparison into the links' evidence, by person number."""
    share = 1.0 - float(np.exp(-dt_s / parameters.evidence_s))
    for link, ratios in zip(links, comparison.log_ratio.tolist(), strict=True):
        now = dict(zip(numbers, ratios, strict=True))
        link.evidence = {
            number: _averaged(link.evidence.get(number), ratio, share)
            for number, ratio in now.items()
            if np.isfinite(ratio)
        } or {n: e for n, e in link.evidence.items() if n in now}


def match(
    links: list[Link],
    comparison: Comparison,
    numbers: list[int],
    max_squared: float,
    parameters: TrackingParameters,
) -> dict[int, int]:
    """Most likely person number for each tracklet (by row) that has one."""
    gain = np.full((len(links), len(numbers)), -np.inf)
    for row, link in enumerate(links):
        for column, number in enumerate(numbers):
            is_own = link.person == number
            if is_own or comparison.squared[row, column] <= max_squared:
                gain[row, column] = _gain(link, number, is_own, parameters)
    rows, columns = assign(gain, 0.0)
    return {
        row: numbers[column] for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }


def appearance_ratio(
    cosines: Mapping[int, float], parameters: TrackingParameters
) -> dict[int, float]:
    """Log-likelihood ratio of looking like each person; bounded, as crops can mislead."""
    middle = (parameters.same_cosine + parameters.different_cosine) / 2
    return {
        number: float(
            np.clip(parameters.cosine_weight * (cosine - middle), -_MAX_APPEARANCE, _MAX_APPEARANCE)
        )
        for number, cosine in cosines.items()
    }


def _gain(link: Link, number: int, is_own: bool, parameters: TrackingParameters) -> float:
    # A tracklet whose place is unknown for now stays who it is.
    evidence = link.evidence.get(number, 0.0 if is_own else -np.inf)
    bonus = parameters.stay_bonus if is_own else 0.0
    return evidence + link.appearance.get(number, 0.0) + bonus


def _averaged(before: float | None, ratio: float, share: float) -> float:
    ratio = max(ratio, _WORST_EVIDENCE)
    return ratio if before is None else before + share * (ratio - before)

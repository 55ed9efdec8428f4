"""Which tracklets of one camera could be which people, and which most likely are.

Only people the tracklet can be by its place on the floor are compared; the evidence is averaged
over a short memory so that one odd box changes nothing. Appearance decides among the possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaincinv

from plugins.tracking import kalman
from plugins.tracking.assignment import assign, iou
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.gallery import Vectors
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.standing import Standing

_WORST_EVIDENCE = -8.0
_MAX_APPEARANCE = 2.0
# At an overlap of a third and more, whose box is whose cannot be told from the boxes.
_CROWDED_PER_IOU = 3.0
_SWAP_LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """The embedding (D,), unit length, of a tracklet's crop; ``quality`` 0..1 of that crop."""

    vector: Vectors
    quality: float


@dataclass(slots=True)
class Link:
    """What is known of one tracklet's identity: its ``person`` (a number) or None.

    ``evidence`` and ``appearance`` are log-likelihood ratios by person. ``strained_s`` is for how
    long the tracklet has not fitted its person. ``trust`` 0..1 is how surely the tracklet still is
    the person it was: boxes that overlap may have swapped people. ``fits`` tells whether
    this set's place is within the gate of the person. ``look`` is the
    latest embedding that no person has taken over yet.
    """

    person: int | None = None
    evidence: dict[int, float] = field(default_factory=dict)
    appearance: dict[int, float] = field(default_factory=dict)
    strained_s: float = 0.0
    trust: float = 1.0
    fits: bool = True
    look: Look | None = None

    def join(self, person: int) -> None:
        """Becomes a person whose place fits, or is not known yet."""
        self.person, self.strained_s, self.fits = person, 0.0, True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tracklets (N) of one camera against people (M): log-likelihood ratio to the edge of the
    gate, squared Mahalanobis distance, metres; each (N, M). Unknown places compare as -inf, inf.
    """

    log_ratio: FloatArray
    squared: FloatArray
    metres: FloatArray


def gate(parameters: TrackingParameters) -> float:
    """Largest squared Mahalanobis distance in (x, y, height) that is the same person's: the
    quantile of the chi-squared distribution with three degrees of freedom.
    """
    return 2.0 * float(gammaincinv(1.5, parameters.gate_probability))


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


def doubt(
    links: list[Link], boxes_xyxy: FloatArray, dt_s: float, parameters: TrackingParameters
) -> None:
    """Lowers the trust in tracklets whose boxes (N, 4) overlap, and restores it in time."""
    crowding = crowded(boxes_xyxy)
    recovery = 1.0 - float(np.exp(-dt_s / parameters.trust_recovery_s))
    for link, share in zip(links, crowding.tolist(), strict=True):
        link.trust += recovery * (1.0 - link.trust)
        link.trust = min(link.trust, 1.0 - share)
        if share > _SWAP_LIKELY:
            # What the tracklet looked like says nothing about who comes out of the overlap.
            link.appearance = {}


def crowded(boxes_xyxy: FloatArray) -> FloatArray:
    """How much of each box (N,) is shared with the one it overlaps most, 0..1."""
    overlap = iou(boxes_xyxy, boxes_xyxy)
    np.fill_diagonal(overlap, 0.0)
    share: FloatArray = np.minimum(_CROWDED_PER_IOU * overlap.max(axis=1, initial=0.0), 1.0)
    return share


def gather(
    links: list[Link],
    comparison: Comparison,
    numbers: list[int],
    dt_s: float,
    parameters: TrackingParameters,
) -> None:
    """Averages this set's comparison into the links' evidence, by person number."""
    faded = float(np.exp(-dt_s / parameters.appearance_s))
    forgotten = 1.0 - float(np.exp(-dt_s / parameters.evidence_s))
    for link, ratios in zip(links, comparison.log_ratio.tolist(), strict=True):
        now = dict(zip(numbers, ratios, strict=True))
        share = 1.0 - link.trust * (1.0 - forgotten)
        # What a tracklet looked like says ever less about who it is now.
        link.appearance = {n: faded * ratio for n, ratio in link.appearance.items()}
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
    bonus = link.trust * parameters.stay_bonus if is_own else 0.0
    return evidence + link.appearance.get(number, 0.0) + bonus


def _averaged(before: float | None, ratio: float, share: float) -> float:
    ratio = max(ratio, _WORST_EVIDENCE)
    return ratio if before is None else before + share * (ratio - before)

"""How far two models say the same of the same pictures. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.frames import Detections
from plugins.inference.model_check import iou_to

Floats = npt.NDArray[np.float32]
MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True)
class BoxAgreement:
    """Boxes of two detectors, matched one to one at an IoU of 0.5 and more. ``found`` is the share
    of the serving one's boxes that the candidate has too, ``confirmed`` that of the candidate's
    boxes that the serving one has; NaN where there are none.
    """

    serving_boxes: int
    candidate_boxes: int
    matched: int
    found: float
    confirmed: float
    mean_iou: float


@dataclass(frozen=True, slots=True)
class VectorAgreement:
    """Vectors of two embedders for the same crops. ``median_cosine`` between both vectors of a
    crop, NaN where they differ in length; ``pair_correlation`` of the cosines that each gives to
    the same pairs of crops, which also means something between two different models.
    """

    crops: int
    dimensions: tuple[int, int]
    median_cosine: float
    pair_correlation: float


def box_agreement(serving: Sequence[Detections], candidate: Sequence[Detections]) -> BoxAgreement:
    """Of the same pictures in the same order."""
    overlaps = [
        overlap
        for one, other in zip(serving, candidate, strict=True)
        for overlap in matched_overlaps(one.boxes_xyxy, other.boxes_xyxy)
    ]
    ours, theirs = sum(map(len, serving)), sum(map(len, candidate))
    return BoxAgreement(
        serving_boxes=ours,
        candidate_boxes=theirs,
        matched=len(overlaps),
        found=_share(len(overlaps), ours),
        confirmed=_share(len(overlaps), theirs),
        mean_iou=float(np.mean(overlaps)) if overlaps else float("nan"),
    )


def matched_overlaps(one: Floats, other: Floats) -> list[float]:
    """Overlaps of boxes (N, 4) and (M, 4) matched one to one, the best pairs first."""
    if not len(one) or not len(other):
        return []
    table = np.stack([iou_to(box, other) for box in one])
    matched = []
    while table.max(initial=0.0) >= MATCH_IOU:
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        matched.append(float(table[row, column]))
        table[row], table[:, column] = 0.0, 0.0
    return matched


def vector_agreement(serving: Floats, candidate: Floats) -> VectorAgreement:
    """Of vectors (N, D) and (N, E), row by row of the same crop."""
    is_same_length = serving.shape[1] == candidate.shape[1]
    cosines = (serving * candidate).sum(axis=1) if is_same_length else np.array([np.nan])
    return VectorAgreement(
        crops=len(serving),
        dimensions=(serving.shape[1], candidate.shape[1]),
        median_cosine=float(np.median(cosines)),
        pair_correlation=_correlation(serving @ serving.T, candidate @ candidate.T),
    )


def _correlation(one: Floats, other: Floats) -> float:
    pairs = np.triu_indices(len(one), 1)
    a, b = one[pairs], other[pairs]
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")

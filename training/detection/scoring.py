"""How good boxes are: matched to the truth one to one at an IoU of 0.5 (as PASCAL VOC's AP50)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model says about one picture and what is true of it.

    ``boxes_xyxy`` (N, 4) with ``scores`` (N,) descending; ``wanted_xyxy`` (P, 4) are to be found;
    finding something in ``ignored_xyxy`` (Q, 4) neither helps nor harms.
    """

    boxes_xyxy: Floats
    scores: Floats
    wanted_xyxy: Floats
    ignored_xyxy: Floats


@dataclass(frozen=True, slots=True)
class Score:
    """``recall`` and ``precision`` count boxes with ``threshold`` and more; ``ap50`` all boxes."""

    ap50: float
    recall: float
    precision: float
    threshold: float
    wanted: int


def scored(answers: Sequence[Answer], threshold: float) -> Score:
    """Of all pictures together; NaN where nothing is wanted or found."""
    marked = [_marked(answer) for answer in answers]
    scores = np.concatenate([score for score, _ in marked])
    hits = np.concatenate([hit for _, hit in marked])
    wanted = sum(len(answer.wanted_xyxy) for answer in answers)
    chosen = hits[scores >= threshold]
    return Score(
        ap50=average_precision(scores, hits, wanted),
        recall=_share(int(chosen.sum()), wanted),
        precision=_share(int(chosen.sum()), len(chosen)),
        threshold=threshold,
        wanted=wanted,
    )


def average_precision(scores: Floats, hits: npt.NDArray[np.bool_], wanted: int) -> float:
    """The area under precision over recall, precision made monotonic from the right."""
    if not wanted:
        return float("nan")
    hit = hits[np.argsort(-scores, kind="stable")]
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best_from_here * hit).sum() / wanted)


def overlaps(a: Floats, b: Floats) -> Floats:
    """Intersection over union (A, B)."""
    shared = _shared(a, b)
    return np.asarray(shared / (_areas(a)[:, None] + _areas(b)[None] - shared), np.float32)


def _marked(answer: Answer) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Scores of the boxes that count, best first, and which of them hit somebody."""
    iou = overlaps(answer.boxes_xyxy, answer.wanted_xyxy)
    free = np.ones(len(answer.wanted_xyxy), bool)
    hits = np.zeros(len(answer.scores), bool)
    for k in np.argsort(-answer.scores, kind="stable").tolist():
        fits = np.where(free, iou[k], 0.0)
        if fits.size and fits.max() >= MATCH_IOU:
            hits[k], free[fits.argmax()] = True, False
    counts = hits | ~_is_ignored(answer)
    return answer.scores[counts], hits[counts]


def _is_ignored(answer: Answer) -> npt.NDArray[np.bool_]:
    """Boxes that overlap somebody who does not count, or lie mostly in such a box."""
    if not len(answer.ignored_xyxy):
        return np.zeros(len(answer.boxes_xyxy), bool)
    shared = _shared(answer.boxes_xyxy, answer.ignored_xyxy)
    within = shared / _areas(answer.boxes_xyxy)[:, None]
    iou = overlaps(answer.boxes_xyxy, answer.ignored_xyxy)
    return np.asarray(((within >= 0.5) | (iou >= 0.3)).any(axis=1))


def _shared(a: Floats, b: Floats) -> Floats:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2), np.float32)


def _areas(boxes: Floats) -> Floats:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 1e-3, None).prod(axis=1), np.float32)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")

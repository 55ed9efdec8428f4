"""Overlap of boxes and optimal one-to-one assignment.

Boxes (N, 4) may also be stacks of them, (..., N, 4); so are the results then.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from plugins.tracking.camera_plane import FloatArray

IntArray = npt.NDArray[np.intp]


def _intersection(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    return _shared(a_xyxy, b_xyxy, 0) * _shared(a_xyxy, b_xyxy, 1)


def _shared(a_xyxy: FloatArray, b_xyxy: FloatArray, axis: int) -> FloatArray:
    """Length (N, M) along x (0) or y (1). One axis at a time: an innermost axis of 2 is slow."""
    low = np.maximum(a_xyxy[..., :, None, axis], b_xyxy[..., None, :, axis])
    high = np.minimum(a_xyxy[..., :, None, axis + 2], b_xyxy[..., None, :, axis + 2])
    return np.asarray(np.maximum(high - low, 0.0))


def area(boxes_xyxy: FloatArray) -> FloatArray:
    """Areas (N,) of boxes (N, 4); inverted boxes have none."""
    size = np.maximum(boxes_xyxy[..., 2:] - boxes_xyxy[..., :2], 0.0)
    return np.asarray(size[..., 0] * size[..., 1])


def iou(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4); 0 for empty boxes."""
    shared = _intersection(a_xyxy, b_xyxy)
    union = area(a_xyxy)[..., :, None] + area(b_xyxy)[..., None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def covered(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    """Share (N, M) of each box a that lies within box b."""
    shared = _intersection(a_xyxy, b_xyxy)
    whole = area(a_xyxy)[..., :, None]
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def grown(boxes_xyxy: FloatArray, share: float) -> FloatArray:
    """Boxes (N, 4) enlarged on each side by a share of their own size (C-BIoU, Yang 2023)."""
    margin = share * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])
    return np.concatenate([boxes_xyxy[:, :2] - margin, boxes_xyxy[:, 2:] + margin], axis=1)


def assign(gain: FloatArray, min_gain: float) -> tuple[IntArray, IntArray]:
    """Rows and columns of the one-to-one assignment with the largest total gain over ``min_gain``.

    ``gain`` is (N, M); ``-inf`` or anything at or below ``min_gain`` is never assigned. Leaving a
    row unassigned counts as ``min_gain``, so a poor pair never displaces a good one.
    """
    excess = np.where(gain > min_gain, gain - min_gain, 0.0)
    if not excess.any():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    rows, columns = linear_sum_assignment(excess, maximize=True)
    kept = excess[rows, columns] > 0
    return rows[kept].astype(np.intp), columns[kept].astype(np.intp)

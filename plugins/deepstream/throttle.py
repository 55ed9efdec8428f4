"""Whose picture is worth an embedding: nvinferserver has no such choice for embedding models.

Pure; runs in a streaming thread, so it must take microseconds.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.frames import NS_PER_S

Floats = npt.NDArray[np.float32]
UNTRACKED = -1


@dataclass(frozen=True, slots=True)
class ThrottleParameters:
    """Seconds between two embeddings of one person in a camera; the least height in pixels; the
    largest overlap (IoU) with another box that still shows one person alone; the IoU at which a
    later box is taken for the same person; the most in one picture.
    """

    interval_s: float = 0.5
    min_height_px: float = 48.0
    max_overlap: float = 0.3
    same_person_iou: float = 0.4
    most: int = 16


class EmbedThrottle:
    """Remembers who of one camera was embedded lately."""

    def __init__(self, parameters: ThrottleParameters | None = None) -> None:
        self._parameters = parameters or ThrottleParameters()
        self._lately: deque[tuple[int, int, Floats]] = deque(maxlen=256)

    def choose(
        self, boxes_xyxy: Floats, object_ids: npt.NDArray[np.int64], media_time_ns: int
    ) -> npt.NDArray[np.bool_]:
        """(N,) mask over boxes (N, 4) whose picture should be embedded now.

        ``object_ids`` (N,) are DeepStream's where its tracker runs, else UNTRACKED: then a box
        that overlaps one embedded lately counts as the same person.
        """
        limits = self._parameters
        heights = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
        wanted = (heights >= limits.min_height_px) & ~self._is_crowded(boxes_xyxy)
        wanted &= ~self._was_embedded(boxes_xyxy, object_ids, media_time_ns)
        kept = np.flatnonzero(wanted)
        kept = kept[np.argsort(-heights[kept], kind="stable")][: limits.most]
        chosen = np.zeros(len(boxes_xyxy), np.bool_)
        chosen[kept] = True
        self._lately.extend((media_time_ns, int(object_ids[k]), boxes_xyxy[k]) for k in kept)
        return chosen

    def _is_crowded(self, boxes_xyxy: Floats) -> npt.NDArray[np.bool_]:
        overlaps = iou(boxes_xyxy, boxes_xyxy)
        np.fill_diagonal(overlaps, 0.0)
        return np.asarray((overlaps > self._parameters.max_overlap).any(axis=1), np.bool_)

    def _was_embedded(
        self, boxes_xyxy: Floats, object_ids: npt.NDArray[np.int64], media_time_ns: int
    ) -> npt.NDArray[np.bool_]:
        since_ns = media_time_ns - round(self._parameters.interval_s * NS_PER_S)
        while self._lately and self._lately[0][0] <= since_ns:
            self._lately.popleft()
        if not self._lately:
            return np.zeros(len(boxes_xyxy), np.bool_)
        known_ids = np.array([entry[1] for entry in self._lately])
        known_boxes = np.stack([entry[2] for entry in self._lately])
        is_same_id = object_ids[:, None] == known_ids
        is_near = iou(boxes_xyxy, known_boxes) >= self._parameters.same_person_iou
        by_place = (object_ids[:, None] == UNTRACKED) | (known_ids == UNTRACKED)
        return np.asarray(np.where(by_place, is_near, is_same_id).any(axis=1), np.bool_)


def iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4)."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), axis=1) for x in (a_xyxy, b_xyxy)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)

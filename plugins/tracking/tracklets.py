"""Tracklets: one person in one camera for as long as the boxes can be followed.

Each camera has its own; what ties cameras together comes later, in ``identities.py``.
"""

from dataclasses import dataclass, field

import numpy as np

from plugins.frames import NS_PER_S, Detections
from plugins.tracking.assignment import IntArray, area, assign, covered, grown, iou
from plugins.tracking.camera_plane import BoolArray, FloatArray
from plugins.tracking.parameters import TrackingParameters

# Shares of the box height, which stands for the person's size at that distance.
_MEASUREMENT_SIGMA = 0.05
_VELOCITY_SIGMA = 0.5
_ACCELERATION = 0.5
_DUPLICATE_COVER = 0.85
_DUPLICATE_EDGE = 0.12


@dataclass(slots=True)
class Tracklet:
    """``mean`` (8,) is (centre x, centre y, width, height) in pixels and its rate per second.
    ``cov`` (2, 2) is that of each of the four and its rate: they err alike and independently.

    ``box_xyxy`` (4,) is the last detection; ``score`` its score. ``seen_ns`` is when that was.
    ``embedded_ns`` is when a crop of it was last embedded, -1 for never; ``best_quality`` the best
    quality of those crops, ``crops`` how many there were.
    """

    track_id: int
    mean: FloatArray
    cov: FloatArray
    box_xyxy: FloatArray
    score: float
    born_ns: int
    seen_ns: int
    hits: int = 1
    is_confirmed: bool = False
    embedded_ns: int = -1
    best_quality: float = 0.0
    crops: int = 0


@dataclass(slots=True)
class CameraTracklets:
    """The living tracklets of one camera. Ids count up from 1 and are never used again."""

    tracklets: list[Tracklet] = field(default_factory=list)
    next_id: int = 1
    time_ns: int = -1

    def step(
        self, detections: Detections | None, time_ns: int, parameters: TrackingParameters
    ) -> None:
        """Moves all tracklets to ``time_ns`` and continues, begins and ends them.

        None means that the camera delivered no picture: nothing is missed then, only predicted.
        """
        limit_ns = int(parameters.coast_s * NS_PER_S)
        self.tracklets = [t for t in self.tracklets if time_ns - t.seen_ns <= limit_ns]
        self._predict(time_ns)
        if detections is not None:
            boxes = np.asarray(detections.boxes_xyxy, dtype=np.float64).reshape(-1, 4)
            self._observe(boxes, np.asarray(detections.scores, np.float64), time_ns, parameters)
            self.tracklets = [t for t in self.tracklets if t.is_confirmed or t.seen_ns == time_ns]

    def observed(self, time_ns: int) -> list[Tracklet]:
        """Tracklets that were detected at ``time_ns``, in order of their id."""
        return [t for t in self.tracklets if t.seen_ns == time_ns]

    def _predict(self, time_ns: int) -> None:
        dt_s = max(0, time_ns - self.time_ns) / NS_PER_S if self.time_ns >= 0 else 0.0
        self.time_ns = time_ns
        if not self.tracklets or dt_s == 0:
            return
        mean, cov = _stacked(self.tracklets)
        noise = (_ACCELERATION * np.maximum(mean[:, 3], 1.0)) ** 2
        mean[:, :4] += dt_s * mean[:, 4:]
        # White acceleration, as in ``kalman.py``, of one axis.
        Q = np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
        F = np.array([[1.0, dt_s], [0.0, 1.0]])
        cov = F @ cov @ F.T + noise[:, None, None] * Q
        for tracklet, m, c in zip(self.tracklets, mean, cov, strict=True):
            tracklet.mean, tracklet.cov = m, c

    def _observe(
        self, boxes: FloatArray, scores: FloatArray, time_ns: int, parameters: TrackingParameters
    ) -> None:
        """Sure boxes first, then what is left grown, then doubtful boxes (ByteTrack, C-BIoU)."""
        free = np.ones(len(boxes), dtype=bool)
        is_high = scores >= parameters.high_score
        is_low = ~is_high & (scores >= parameters.low_score)
        for candidates, margin in (
            (is_high, 0.0),
            (is_high, parameters.recover_margin),
            (is_low, 0.0),
        ):
            chosen = np.flatnonzero(candidates & free)
            if not chosen.size:
                continue
            unseen = [t for t in self.tracklets if t.seen_ns != time_ns]
            rows, columns = _match(unseen, boxes[chosen], margin, parameters.min_iou)
            taken = chosen[columns]
            free[taken] = False
            _correct([unseen[i] for i in rows], boxes[taken], scores[taken], time_ns, parameters)
        self._begin(np.flatnonzero(free & (scores >= parameters.birth_score)), boxes, scores)

    def _begin(self, chosen: IntArray, boxes: FloatArray, scores: FloatArray) -> None:
        if not chosen.size:
            return
        others = np.concatenate([boxes_of(self.observed(self.time_ns)), boxes[chosen]])
        chosen = chosen[~_is_duplicate(boxes[chosen], others)]
        for i in chosen:
            self.tracklets.append(_new(self.next_id, boxes[i], float(scores[i]), self.time_ns))
            self.next_id += 1


def boxes_of(tracklets: list[Tracklet]) -> FloatArray:
    """Last detected boxes (N, 4)."""
    if not tracklets:
        return np.empty((0, 4))
    return np.concatenate([t.box_xyxy for t in tracklets]).reshape(-1, 4)


def _stacked(tracklets: list[Tracklet]) -> tuple[FloatArray, FloatArray]:
    """Means (N, 8) and covariances (N, 2, 2)."""
    mean = np.concatenate([t.mean for t in tracklets]).reshape(-1, 8)
    return mean, np.concatenate([t.cov for t in tracklets]).reshape(-1, 2, 2)


def _new(track_id: int, box_xyxy: FloatArray, score: float, time_ns: int) -> Tracklet:
    state = _to_state(box_xyxy[None])[0]
    size = max(float(state[3]), 1.0)
    cov = np.diag([(_MEASUREMENT_SIGMA * size) ** 2, (_VELOCITY_SIGMA * size) ** 2])
    mean = np.concatenate([state, np.zeros(4)])
    return Tracklet(track_id, mean, cov, box_xyxy.copy(), score, time_ns, time_ns)


def _match(
    tracklets: list[Tracklet], boxes: FloatArray, margin: float, min_iou: float
) -> tuple[IntArray, IntArray]:
    if not tracklets or not len(boxes):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    expected = _to_boxes(_stacked(tracklets)[0][:, :4])
    if margin:
        expected, boxes = grown(expected, margin), grown(boxes, margin)
    overlap = iou(expected, boxes)
    # Of two equal overlaps the tracklet that has proved itself keeps its box.
    proven = np.array([0.05 * t.is_confirmed for t in tracklets])[:, None]
    return assign(np.where(overlap >= min_iou, overlap + proven, 0.0), 0.0)


def _correct(
    tracklets: list[Tracklet],
    boxes: FloatArray,
    scores: FloatArray,
    time_ns: int,
    parameters: TrackingParameters,
) -> None:
    if not tracklets:
        return
    mean, cov = _stacked(tracklets)
    z = _to_state(boxes)
    variance = (_MEASUREMENT_SIGMA * np.maximum(z[:, 3], 1.0)) ** 2
    gain = cov[:, 0] / (cov[:, 0, 0] + variance)[:, None]
    mean += (gain[:, :, None] * (z - mean[:, :4])[:, None]).reshape(-1, 8)
    cov -= gain[:, :, None] * cov[:, None, 0]
    for i, tracklet in enumerate(tracklets):
        tracklet.mean, tracklet.cov = mean[i], cov[i]
        tracklet.box_xyxy, tracklet.score = boxes[i].copy(), float(scores[i])
        tracklet.seen_ns = time_ns
        tracklet.hits += 1
        tracklet.is_confirmed |= tracklet.hits >= parameters.confirm_hits


def _is_duplicate(boxes: FloatArray, others: FloatArray) -> BoolArray:
    """Which boxes (N,) only repeat a part of another: smaller, within it and sharing its top."""
    if not len(boxes):
        return np.zeros(0, dtype=bool)
    tolerance = _DUPLICATE_EDGE * (others[:, 3] - others[:, 1])
    same_top = np.abs(boxes[:, None, 1] - others[None, :, 1]) <= tolerance
    smaller = area(boxes)[:, None] < _DUPLICATE_COVER * area(others)[None, :]
    within = covered(boxes, others) >= _DUPLICATE_COVER
    return np.asarray((same_top & smaller & within).any(axis=1))


def _to_state(boxes_xyxy: FloatArray) -> FloatArray:
    size = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return np.concatenate([boxes_xyxy[:, :2] + size / 2, size], axis=1)


def _to_boxes(state: FloatArray) -> FloatArray:
    half = np.maximum(state[:, 2:], 1.0) / 2
    return np.concatenate([state[:, :2] - half, state[:, :2] + half], axis=1)

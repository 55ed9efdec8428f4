"""Tracklets: one person in one camera for as long as the boxes can be followed.

Each camera has its own; what ties cameras together comes later, in ``identities.py``.
"""

from dataclasses import dataclass, field

import numpy as np

from plugins.frames import NS_PER_S, Detections
from plugins.tracking import kalman
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
        mean = np.stack([t.mean for t in self.tracklets])
        cov = np.stack([t.cov for t in self.tracklets])
        noise = (_ACCELERATION * np.maximum(mean[:, 3], 1.0)) ** 2
        Q = noise[:, None, None] * kalman.acceleration_noise(dt_s, 4)
        mean, cov = kalman.predict(mean, cov, kalman.transition(dt_s, 4), Q)
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
            unseen = [t for t in self.tracklets if t.seen_ns != time_ns]
            chosen = np.flatnonzero(candidates & free)
            rows, columns = _match(unseen, boxes[chosen], margin, parameters.min_iou)
            taken = chosen[columns]
            free[taken] = False
            _correct([unseen[i] for i in rows], boxes[taken], scores[taken], time_ns, parameters)
        self._begin(np.flatnonzero(free & (scores >= parameters.birth_score)), boxes, scores)

    def _begin(self, chosen: IntArray, boxes: FloatArray, scores: FloatArray) -> None:
        seen = [t.box_xyxy for t in self.tracklets if t.seen_ns == self.time_ns]
        others = np.concatenate([np.reshape(seen, (-1, 4)), boxes[chosen]])
        chosen = chosen[~_is_duplicate(boxes[chosen], others)]
        for i in chosen:
            self.tracklets.append(_new(self.next_id, boxes[i], float(scores[i]), self.time_ns))
            self.next_id += 1


def boxes_of(tracklets: list[Tracklet]) -> FloatArray:
    """Last detected boxes (N, 4)."""
    return np.reshape([t.box_xyxy for t in tracklets], (-1, 4)).astype(np.float64)


def _new(track_id: int, box_xyxy: FloatArray, score: float, time_ns: int) -> Tracklet:
    state = _to_state(box_xyxy[None])[0]
    size = max(float(state[3]), 1.0)
    sigma = np.repeat([_MEASUREMENT_SIGMA, _VELOCITY_SIGMA], 4) * size
    mean = np.concatenate([state, np.zeros(4)])
    return Tracklet(track_id, mean, np.diag(sigma**2), box_xyxy.copy(), score, time_ns, time_ns)


def _match(
    tracklets: list[Tracklet], boxes: FloatArray, margin: float, min_iou: float
) -> tuple[IntArray, IntArray]:
    if not tracklets or not len(boxes):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    expected = _to_boxes(np.stack([t.mean for t in tracklets])[:, :4])
    overlap = iou(grown(expected, margin), grown(boxes, margin))
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
    mean = np.stack([t.mean for t in tracklets])
    z = _to_state(boxes)
    variance = (_MEASUREMENT_SIGMA * np.maximum(z[:, 3], 1.0)) ** 2
    R = variance[:, None, None] * np.eye(4)
    mean, cov = kalman.update(mean, np.stack([t.cov for t in tracklets]), z, R)
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

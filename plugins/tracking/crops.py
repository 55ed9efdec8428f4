"""Which tracklets deserve an embedding now: few crops, but the telling ones."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from plugins.frames import NS_PER_S, CropRequest
from plugins.tracking.assignment import covered
from plugins.tracking.camera_plane import CameraPlane, FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracklets import Tracklet, boxes_of

_FULL_HEIGHT_PX = 160.0
_BORDER_PX = 3.0
_CUT_PENALTY = 0.6
_UPRIGHT_ASPECT = 1.4
_PATIENCE_S = 1.0
_QUALITY_INTERVAL_S = 0.5
_MAX_QUALITY_CROPS = 4
_DOUBTFUL_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class ChosenCrop:
    """A crop to embed, and how telling it is (0..1)."""

    request: CropRequest
    quality: float


def crop_quality(
    boxes_xyxy: FloatArray, scores: FloatArray, width_px: int, height_px: int
) -> FloatArray:
    """How telling each crop (N,) is, 0..1: large, sure, whole, and nobody in front of it."""
    size = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    large = np.clip(size[:, 1] / _FULL_HEIGHT_PX, 0, 1)
    upright = np.clip(size[:, 1] / np.maximum(size[:, 0], 1) / _UPRIGHT_ASPECT, 0, 1)
    edges = np.array([width_px, height_px, width_px, height_px]) - _BORDER_PX
    cut = (boxes_xyxy[:, :2] <= _BORDER_PX).any(axis=1) | (boxes_xyxy >= edges)[:, 2:].any(axis=1)
    whole = np.where(cut, _CUT_PENALTY, 1.0)
    return np.asarray(scores * large * upright * whole * (1 - hidden_share(boxes_xyxy)))


def hidden_share(boxes_xyxy: FloatArray) -> FloatArray:
    """Largest share (N,) of each box that one box in front hides; lower feet are in front."""
    if len(boxes_xyxy) < 2:
        return np.zeros(len(boxes_xyxy))
    in_front = boxes_xyxy[None, :, 3] > boxes_xyxy[:, None, 3]
    return np.asarray(np.where(in_front, covered(boxes_xyxy, boxes_xyxy), 0.0).max(axis=1))


def choose_crops(
    observed: Mapping[str, list[Tracklet]],
    planes: Mapping[str, CameraPlane],
    time_ns: int,
    parameters: TrackingParameters,
    doubtful: Container[tuple[str, int]] = (),
) -> list[ChosenCrop]:
    """The crops to embed in this set, most needed first, and marks their tracklets as embedded.

    A tracklet is embedded when it is confirmed, then ever more rarely, when a clearly better
    picture of it comes along, and often while it is ``doubtful`` (camera, track id) whom it shows.
    Never more than ``crops_per_set``.
    """
    wanted: list[tuple[float, str, int, float, Tracklet]] = []
    for camera_id, tracklets in observed.items():
        plane = planes[camera_id]
        scores = np.array([t.score for t in tracklets])
        quality = crop_quality(boxes_of(tracklets), scores, plane.width, plane.height)
        for tracklet, q in zip(tracklets, quality.tolist(), strict=True):
            is_doubtful = (camera_id, tracklet.track_id) in doubtful
            need = _need_s(tracklet, q, time_ns, parameters, is_doubtful=is_doubtful)
            if need is not None:
                wanted.append((-need, camera_id, tracklet.track_id, q, tracklet))
    wanted.sort(key=lambda entry: entry[:3])
    return [
        _choose(camera_id, tracklet, q, time_ns)
        for _, camera_id, _, q, tracklet in wanted[: parameters.crops_per_set]
    ]


def _need_s(
    tracklet: Tracklet,
    quality: float,
    time_ns: int,
    parameters: TrackingParameters,
    *,
    is_doubtful: bool,
) -> float | None:
    """How overdue a crop is in seconds, None where none is needed."""
    if tracklet.embedded_ns < 0:
        age_s = (time_ns - tracklet.born_ns) / NS_PER_S
        is_good = quality >= parameters.min_crop_quality or age_s >= _PATIENCE_S
        return 1e6 + age_s if is_good else None
    since_s = (time_ns - tracklet.embedded_ns) / NS_PER_S
    if is_doubtful:
        is_telling = quality >= parameters.min_crop_quality
        return since_s if since_s >= _DOUBTFUL_INTERVAL_S and is_telling else None
    is_good = quality >= max(parameters.min_crop_quality, 0.5 * tracklet.best_quality)
    interval_s = parameters.first_interval_s * 2.0 ** (tracklet.crops - 1)
    overdue_s = since_s - min(interval_s, parameters.longest_interval_s)
    is_better = quality >= parameters.better_quality * tracklet.best_quality
    if is_better and since_s >= _QUALITY_INTERVAL_S and tracklet.crops <= _MAX_QUALITY_CROPS:
        return max(overdue_s, 0.0)
    return overdue_s if overdue_s >= 0 and is_good else None


def _choose(camera_id: str, tracklet: Tracklet, quality: float, time_ns: int) -> ChosenCrop:
    tracklet.embedded_ns = time_ns
    tracklet.best_quality = max(tracklet.best_quality, quality)
    tracklet.crops += 1
    x0, y0, x1, y1 = tracklet.box_xyxy.tolist()
    return ChosenCrop(CropRequest(camera_id, tracklet.track_id, (x0, y0, x1, y1)), quality)

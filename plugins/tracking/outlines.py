"""Where a person's box ends, by the detector and by where all cameras together see them stand.

A detector guesses what is hidden, feet above all; other cameras may know. The edges of a box and
those expected of the person are averaged by their precision.
"""

import numpy as np

from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.sight import (
    EDGES,
    FOOT,
    HEAD,
    HIDDEN_SIGMA,
    MIDDLE,
    WIDTH,
    Boxes,
    Optics,
    diagonal,
    expect,
    hidden_by_nearer,
    project,
)

_LEAST_SHARE = 0.3
# Also edges in full view are partly guessed; a body is no cylinder, so that these move little.
_SURE_SHARE = 0.25
_FOOT_WEIGHT = 3.0


def outlines(
    boxes_xyxy: FloatArray,
    boxes: Boxes,
    cameras: Optics,
    mean: FloatArray,
    cov: FloatArray,
    *,
    bias: FloatArray,
    parameters: TrackingParameters,
) -> FloatArray:
    """Boxes (K, N, 4) of cameras corrected by the people (K, N, 6) and (K, N, 6, 6) whom they show,
    NaN where a camera has fewer. ``boxes`` are their edges, ``bias`` (K, 3, 4) as in ``sight.py``.
    An edge that the border cuts stays, and all do where the camera's pose is not known.
    """
    projected = project(mean[..., :EDGES], cameras)
    expected = expect(projected, cameras, bias, np.zeros(mean.shape[:2]), parameters)
    J, size_px = expected.J, expected.size_px[..., None]
    noise = diagonal(expected.noise(slice(None), slice(None)))
    known = ((J @ cov[..., :EDGES, :EDGES]) * J).sum(axis=-1) + noise
    hidden = hidden_by_nearer(expected.edges_px, expected.size_px)
    guessed = (HIDDEN_SIGMA * hidden[..., None] * size_px) ** 2 + _SURE_SHARE * noise
    guessed[..., FOOT] += _FOOT_WEIGHT * boxes.foot_px2
    move = guessed / (guessed + known) * (expected.edges_px - boxes.edges_px)
    stays = boxes.is_cut | ~np.isfinite(move) | ~cameras.has_pose[:, None, None]
    np.copyto(move, 0.0, where=stays)
    moved = boxes_xyxy.copy()
    moved[..., [0, 2]] += move[..., [MIDDLE]]
    moved[..., 0] -= move[..., WIDTH] / 2
    moved[..., 2] += move[..., WIDTH] / 2
    moved[..., [1, 3]] += move[..., [HEAD, FOOT]]
    frame = np.concatenate([cameras.picture_xyxy[..., 2:]] * 2, axis=-1)
    moved = np.minimum(np.maximum(moved, 0.0), frame)
    size, before = moved[..., 2:] - moved[..., :2], boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    is_box = (size > _LEAST_SHARE * before).all(axis=-1) & cameras.has_pose[:, None]
    return np.asarray(np.where(is_box[..., None], moved, boxes_xyxy))

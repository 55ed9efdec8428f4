"""Where a person's box ends, by the detector and by where all cameras together see them stand.

A detector guesses what is hidden, feet above all; other cameras may know. The edges of a box and
those expected of the person are averaged by their precision.
"""

import numpy as np

from plugins.tracking.camera_plane import CameraPlane, FloatArray
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.sight import (
    EDGES,
    FOOT,
    HEAD,
    HIDDEN_SIGMA,
    MIDDLE,
    WIDTH,
    Boxes,
    diagonal,
    expect,
    hidden_by_nearer,
    optics,
    project,
)

_LEAST_SHARE = 0.3
# Also edges in full view are partly guessed; a body is no cylinder, so that these move little.
_SURE_SHARE = 0.25
_FOOT_WEIGHT = 3.0


def outlines(
    boxes_xyxy: FloatArray,
    boxes: Boxes,
    plane: CameraPlane,
    mean: FloatArray,
    cov: FloatArray,
    *,
    bias: FloatArray,
    parameters: TrackingParameters,
) -> FloatArray:
    """Boxes (N, 4) corrected by the people (N, 6) and (N, 6, 6) whom they show. ``boxes`` are their
    edges. An edge that the border cuts stays, and all do where the camera's pose is not known.
    """
    if plane.projection is None or not len(mean):
        return boxes_xyxy
    people = mean[:, :EDGES]
    projected = project(people, optics((plane,)))
    expected = expect(projected, bias[None], np.zeros((1, len(people))), parameters)
    edges_px, J, size_px = expected.edges_px[0], expected.J[0], expected.size_px[0]
    noise = diagonal(expected.noise(0, slice(None)))
    known = ((J @ cov[:, :EDGES, :EDGES]) * J).sum(axis=2) + noise
    hidden = hidden_by_nearer(edges_px, size_px)
    guessed = (HIDDEN_SIGMA * (hidden * size_px)[:, None]) ** 2
    guessed += _SURE_SHARE * noise
    guessed[:, FOOT] += _FOOT_WEIGHT * boxes.foot_px2
    move = guessed / (guessed + known) * (edges_px - boxes.edges_px)
    move = np.where(boxes.is_cut | ~np.isfinite(move), 0.0, move)
    x0, y0, x1, y1 = boxes_xyxy.T
    half = move[:, WIDTH] / 2
    moved = np.stack(
        [
            x0 + move[:, MIDDLE] - half,
            y0 + move[:, HEAD],
            x1 + move[:, MIDDLE] + half,
            y1 + move[:, FOOT],
        ],
        axis=1,
    )
    moved = np.clip(moved, 0.0, [plane.width, plane.height] * 2)
    size, before = moved[:, 2:] - moved[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    is_box = (size > _LEAST_SHARE * before).all(axis=1)
    return np.asarray(np.where(is_box[:, None], moved, boxes_xyxy))

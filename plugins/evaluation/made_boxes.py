"""A detector without pictures: true boxes with noise, misses and clutter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from plugins.errors import InvalidInputError
from plugins.evaluation.footage import NOBODY, Footage, NamedBoxes
from plugins.frames import Detections

Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """``noise`` is the standard deviation of each edge as a share of the box's own width or
    height, ``misses`` the share of boxes left out, ``clutter`` that of false boxes added.
    """

    noise: float = 0.02
    misses: float = 0.2
    clutter: float = 0.05
    seed: int = 0


def with_made_boxes(footage: Footage, mistakes: Mistakes) -> Footage:
    """The same footage, its pictures replaced by boxes of those who are visible enough to be
    scored. Raises InvalidInputError where the truth has no boxes.
    """
    views = footage.truth.views
    if views is None or not footage.truth.lists_everybody:
        raise InvalidInputError(
            f"{footage.name} has no true boxes of everybody: --boxes truth is for rendered scenes"
        )
    sets = list(_sets(views, footage.planes, footage.frames, mistakes))
    return replace(footage, detections=sets, clips={})


def _sets(
    views: Mapping[str, Mapping[int, NamedBoxes]],
    planes: Mapping[str, GroundPlane],
    frames: int,
    mistakes: Mistakes,
) -> Iterator[dict[str, Detections]]:
    rng = np.random.default_rng(mistakes.seed)
    for frame in range(frames):
        yield {
            camera_id: _detected(view.get(frame, NOBODY), planes[camera_id], mistakes, rng)
            for camera_id, view in sorted(views.items())
        }


def _detected(
    seen: NamedBoxes, plane: GroundPlane, mistakes: Mistakes, rng: np.random.Generator
) -> Detections:
    is_scored = np.array([name not in seen.unscored for name in seen.names], bool)
    true = seen.boxes_xyxy[is_scored]
    kept = true[rng.random(len(true)) >= mistakes.misses]
    size = np.tile(kept[:, 2:] - kept[:, :2], 2)
    noisy = kept + rng.normal(0, mistakes.noise, kept.shape) * size
    false = _clutter(int(rng.poisson(mistakes.clutter * len(true))), true, plane, rng)
    boxes = np.concatenate([noisy, false])
    boxes = np.clip(boxes, 0, [plane.width, plane.height] * 2)
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] > 2).all(axis=1)]
    scores = rng.uniform(0.5, 0.95, len(boxes))
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order].astype(np.float32), scores[order].astype(np.float32))


def _clutter(count: int, true: Boxes, plane: GroundPlane, rng: np.random.Generator) -> Boxes:
    """False boxes anywhere in the picture, of the sizes that true ones have in it."""
    if not count:
        return np.empty((0, 4))
    sizes = (true[:, 2:] - true[:, :2])[rng.integers(0, len(true), count)]
    centres = rng.uniform((0, 0), (plane.width, plane.height), (count, 2))
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)

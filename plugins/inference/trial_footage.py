"""Moments of recorded footage, spread over its length, for trying and calibrating models."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError
from plugins.evaluation.footage import Footage, NamedBoxes
from plugins.frames import NS_PER_S, Detections, Frame, FrameSet
from plugins.gst.cpu_graph import CpuGraph
from plugins.inference.pictures import BoxXYXY, write_crop, write_letterboxed
from plugins.media.timeline import LocalClip

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Moment:
    """One synchronised set, and by camera who is truly in it; no ``truth`` where none is known."""

    frames: Mapping[str, Frame]
    truth: Mapping[str, NamedBoxes]


def read_moments(footage: Footage, count: int) -> Iterator[Moment]:
    """About ``count`` sets at even distances. InvalidInputError for footage without pictures."""
    if not footage.clips:
        raise InvalidInputError(f"{footage.name} has boxes only: name footage with recordings")
    step = max(1, footage.frames // count)
    end_ns = footage.start_ns + round(footage.frames * NS_PER_S / footage.rate_hz)
    clips = {
        camera_id: iter([LocalClip(clip.sub_video, Path(clip.path)) for clip in own])
        for camera_id, own in footage.clips.items()
    }
    graph = CpuGraph(clips, footage.start_ns, end_ns, footage.rate_hz)
    with contextlib.closing(graph):
        for frame_set in graph.sets():
            if frame_set.index % step == step // 2:
                yield Moment(frame_set.frames, _truth(footage, frame_set))


def _truth(footage: Footage, frame_set: FrameSet) -> dict[str, NamedBoxes]:
    views = footage.truth.views or {}
    return {
        camera_id: views[camera_id][frame_set.index]
        for camera_id in frame_set.frames
        if camera_id in views and frame_set.index in views[camera_id]
    }


def detector_batches(moments: Iterator[Moment], size_hw: tuple[int, int]) -> Iterator[Pixels]:
    """Each set's pictures as the detector takes them, uint8 (cameras, 3, H, W)."""
    for moment in moments:
        pixels = np.empty((len(moment.frames), 3, *size_hw), np.uint8)
        for frame, target in zip(moment.frames.values(), pixels, strict=True):
            write_letterboxed(frame, target)
        if len(pixels):
            yield pixels


def crop_batches(
    moments: Iterator[Moment],
    size_hw: tuple[int, int],
    found: Mapping[int, Sequence[Detections]] | None = None,
) -> Iterator[Pixels]:
    """Each set's people as the embedder takes them, cut out by the truth's boxes, or by those
    ``found`` by a detector, in the order of the moment's cameras, where no truth is known.
    """
    for number, moment in enumerate(moments):
        crops = list(true_crops(moment))
        if not crops and found is not None:
            crops = [
                (frame, box_of(box))
                for frame, seen in zip(moment.frames.values(), found.get(number, ()), strict=False)
                for box in seen.boxes_xyxy
            ]
        if crops:
            pixels = np.empty((len(crops), 3, *size_hw), np.uint8)
            for (frame, box), target in zip(crops, pixels, strict=True):
                write_crop(frame, box, target)
            yield pixels


def true_crops(moment: Moment) -> Iterator[tuple[Frame, BoxXYXY]]:
    """Every scored person's box in every camera."""
    for camera_id, boxes in moment.truth.items():
        for name, box in zip(boxes.names, boxes.boxes_xyxy, strict=True):
            if name not in boxes.unscored:
                yield moment.frames[camera_id], box_of(box)


def box_of(row: npt.NDArray[np.floating]) -> BoxXYXY:
    """Four plain numbers of a row (4,)."""
    x0, y0, x1, y1 = (float(value) for value in row)
    return x0, y0, x1, y1

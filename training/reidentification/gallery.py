"""Crops to score embedders on: cut as the pipeline cuts them, from scenes or real recordings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from homography.environment import Environment
from plugins.errors import InvalidInputError
from plugins.frames import Frame
from plugins.inference.pictures import BoxXYXY, write_crop
from training.ground_truth import FOLDER
from training.reidentification.metrics import Labels

SizeHW = tuple[int, int]

_MIN_VISIBILITY = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """One person in one picture."""

    person: int
    bbox_xyxy: BoxXYXY


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """N crops: ``pixels`` has uint8 RGB (N, 3, H, W) for each size (H, W) that was asked for."""

    pixels: dict[SizeHW, npt.NDArray[np.uint8]]
    labels: Labels

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.labels.person)


class _Walker(msgspec.Struct):
    id: str
    views: dict[str, BoxXYXY]


class _Moment(msgspec.Struct):
    frame: int
    people: list[_Walker]


class _Listed(msgspec.Struct):
    """What is read of ``pseudo_gt.json``; boxes by the camera's number."""

    frames: list[_Moment]


def joined(galleries: Sequence[Gallery]) -> Gallery:
    """All of them, each as a scene of its own."""
    sizes = galleries[0].pixels
    return Gallery(
        {size: np.concatenate([g.pixels[size] for g in galleries]) for size in sizes},
        Labels(
            np.concatenate([g.labels.person for g in galleries]),
            np.concatenate([g.labels.camera for g in galleries]),
            np.concatenate([np.full(len(g), k) for k, g in enumerate(galleries)]),
        ),
    )


def scene_gallery(
    folder: Path, environment: Environment, sizes: Sequence[SizeHW], every: int = 5
) -> Gallery:
    """Each ``every``-th frame of a scene that ``spoton simulate`` wrote: boxes of the truth that
    are at least half visible.
    """
    parts = []
    for number, camera in enumerate(environment.cameras):
        truth = folder / FOLDER / camera.camera_id / "gt.txt"
        videos = folder / environment.object_store_prefix / camera.recording_folder
        pictures = _pictures(sorted(videos.glob("sub_video_*.mp4")))
        parts.append(_cut_out(pictures, _scene_boxes(truth, every), number, sizes))
    return _one_scene(parts)


def lab_gallery(folder: Path, sizes: Sequence[SizeHW]) -> Gallery:
    """The listed walkers of the real recordings in ``folder``: ``pseudo_gt.json`` and
    ``videos/camN.mp4``. Boxes are those of a detector, checked by eye.
    """
    truth = msgspec.json.decode((folder / "pseudo_gt.json").read_bytes(), type=_Listed)
    parts = []
    for number in range(4):
        pictures = _pictures([folder / "videos" / f"cam{number}.mp4"])
        parts.append(_cut_out(pictures, _lab_boxes(truth, number), number, sizes))
    return _one_scene(parts)


def _one_scene(parts: Sequence[Gallery]) -> Gallery:
    gallery = joined(parts)
    labels = replace(gallery.labels, scene=np.zeros(len(gallery), np.int64))
    return Gallery(gallery.pixels, labels)


def _scene_boxes(path: Path, every: int) -> dict[int, list[Seen]]:
    """By 0-based frame."""
    seen: dict[int, list[Seen]] = {}
    for frame, person, left, top, width, height, *_, visibility in np.loadtxt(
        path, delimiter=",", ndmin=2
    ):
        if visibility >= _MIN_VISIBILITY and (frame - 1) % every == 0:
            box = (left, top, left + width, top + height)
            seen.setdefault(int(frame) - 1, []).append(Seen(int(person), box))
    return seen


def _lab_boxes(truth: _Listed, camera: int) -> dict[int, list[Seen]]:
    seen: dict[int, list[Seen]] = {}
    for entry in truth.frames:
        for walker in entry.people:
            box = walker.views.get(str(camera))
            if box is not None:
                seen.setdefault(entry.frame, []).append(Seen(ord(walker.id), box))
    return seen


def _pictures(paths: Sequence[Path]) -> Iterator[Frame]:
    """The frames of consecutive videos."""
    if not paths:
        raise InvalidInputError("there is no video to read: render the scene again")
    for path in paths:
        video = cv2.VideoCapture(str(path))
        try:
            while (read := video.read())[0]:
                height, width = read[1].shape[:2]
                i420 = np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2YUV_I420), np.uint8)
                yield Frame("", 0, width, height, i420)
        finally:
            video.release()


def _cut_out(
    pictures: Iterator[Frame],
    seen: dict[int, list[Seen]],
    camera: int,
    sizes: Sequence[SizeHW],
) -> Gallery:
    crops: dict[SizeHW, list[npt.NDArray[np.uint8]]] = {size: [] for size in sizes}
    person = []
    for index, frame in enumerate(pictures):
        for each in seen.get(index, ()):
            person.append(each.person)
            for size, rows in crops.items():
                rows.append(np.empty((3, *size), np.uint8))
                write_crop(frame, each.bbox_xyxy, rows[-1])
    pixels = {
        size: np.stack(rows) if rows else np.empty((0, 3, *size), np.uint8)
        for size, rows in crops.items()
    }
    count = len(person)
    scene = np.zeros(count, np.int64)
    return Gallery(pixels, Labels(np.array(person, np.int64), np.full(count, camera), scene))

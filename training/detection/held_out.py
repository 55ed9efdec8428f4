"""What detectors are measured on: scenes and people that nothing was trained on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from homography.environment import Environment
from plugins.errors import InvalidInputError
from plugins.frames import Frame
from training.detection.scoring import MATCH_IOU, Floats, overlaps
from training.detection.served import ServedDetector
from training.ground_truth import FOLDER
from training.randomised.pictures import scene_pictures
from training.simulate import Order, simulate

TEST_SEEDS = range(1_000_000, 1_000_012)
"""Random scenes; those to train on count from 0."""
SCENES = ((7001, 8), (7003, 16))
"""Seed and number of people of rendered scenes of an environment."""
HALF_VISIBLE = 0.5
_SIZE = (1280, 720)
_SECONDS = 20.0
_SOMEBODY = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A frame, the boxes (P, 4) to be found in it, and those (Q, 4) that do not count."""

    frame: Frame
    wanted_xyxy: Floats
    ignored_xyxy: Floats


def random_scenes(
    seeds: Sequence[int] = TEST_SEEDS, least_visible: float = HALF_VISIBLE
) -> Iterator[Held]:
    """Twelve 720p pictures of each random scene."""
    for seed in seeds:
        for picture in scene_pictures(seed, cameras=4, moments=3, size=_SIZE):
            seen = picture.visibility >= least_visible
            boxes = picture.boxes_xyxy
            yield Held(as_frame(picture.bgr), boxes[seen], boxes[~seen])


def environment_scenes(
    environment: Environment,
    folder: Path,
    scenes: Sequence[tuple[int, int]] = SCENES,
    every: int = 10,
    least_visible: float = HALF_VISIBLE,
) -> Iterator[Held]:
    """Every tenth frame of each camera in scenes of ``spoton simulate``, rendered once."""
    for seed, people in scenes:
        out = folder / f"scene_{seed}"
        simulate(Order(environment, seed, people, _SECONDS, out))
        for camera in environment.cameras:
            recordings = out / environment.object_store_prefix / camera.recording_folder
            truth = _ground_truth(out / FOLDER / camera.camera_id / "gt.txt")
            for number, bgr in _frames(sorted(recordings.glob("*.mp4")), every):
                rows = truth[truth[:, 0] == number + 1]
                boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
                seen = rows[:, 8] >= least_visible
                yield Held(as_frame(bgr), _floats(boxes[seen]), _floats(boxes[~seen]))


def lab_frames(lab: Path, open_models: Sequence[ServedDetector], every: int = 5) -> Iterator[Held]:
    """Real frames of four cameras. Wanted are the boxes of the two listed walkers; whoever else
    one of ``open_models`` sees with a score of 0.3 and more does not count.
    """
    frames = json.loads((lab / "pseudo_gt.json").read_text("utf-8"))["frames"]
    listed = {entry["frame"]: entry["people"] for entry in frames}
    for camera in range(4):
        for number, bgr in _frames([lab / "videos" / f"cam{camera}.mp4"], every):
            views = [person["views"].get(str(camera)) for person in listed.get(number, [])]
            walkers = _floats([view for view in views if view is not None])
            frame = as_frame(bgr)
            yield Held(frame, walkers, _others(frame, walkers, open_models))


def as_frame(bgr: npt.NDArray[np.uint8]) -> Frame:
    """A picture of even size as the product's decoder gives it."""
    height, width = bgr.shape[:2]
    i420 = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    return Frame("held-out", 0, width, height, i420)


def _others(frame: Frame, walkers: Floats, models: Sequence[ServedDetector]) -> Floats:
    answers = [model.detect(frame) for model in models]
    boxes = _floats([box for a in answers for box in a.boxes_xyxy[a.scores >= _SOMEBODY]])
    is_walker = (overlaps(boxes, walkers) >= 0.8 * MATCH_IOU).any(axis=1)
    return boxes[~is_walker]


def _ground_truth(path: Path) -> npt.NDArray[np.float64]:
    """Rows as in MOTChallenge: frame, id, left, top, width, height, 1, 1, visibility."""
    return np.loadtxt(path, delimiter=",", ndmin=2).reshape(-1, 9)


def _frames(paths: Sequence[Path], every: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Number from 0 and BGR picture of every so many frames of videos that follow each other."""
    number = 0
    for path in paths:
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise InvalidInputError(f"{path} cannot be read as a video")
        while capture.grab():
            if number % every == 0:
                yield number, np.asarray(capture.retrieve()[1], np.uint8)
            number += 1
        capture.release()


def _floats(boxes: object) -> Floats:
    return np.asarray(boxes, np.float32).reshape(-1, 4)
